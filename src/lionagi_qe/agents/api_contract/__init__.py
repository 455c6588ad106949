"""Whether an HTTP API does what its schema says."""
