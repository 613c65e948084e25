"""The ComponentResources that a stack deploys, one file for each."""
