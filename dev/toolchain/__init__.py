"""The programs of the local run and the engine tests: found, fetched, or built from Go modules."""
