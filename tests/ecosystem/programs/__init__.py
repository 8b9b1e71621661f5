"""What the tests run in child processes: one file for each package."""
