"""What keeps a stack from working on its cluster, found before a job meets it."""
