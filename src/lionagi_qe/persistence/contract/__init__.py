"""What a backend fills."""
