"""What the code says without being run."""
