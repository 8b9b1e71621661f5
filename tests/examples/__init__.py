"""The example programs, built and run."""
