"""A cache in front of a durable memory."""
