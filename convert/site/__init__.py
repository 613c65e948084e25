"""What becomes of each key of a site that has runners already: read, convert, check, write."""
