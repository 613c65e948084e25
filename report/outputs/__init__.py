"""How a report is written for each reader."""
