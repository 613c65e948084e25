"""What a report is made from: previews, states, live objects, rendered charts."""
