"""What the figures of a server mean for a memory that lies on it, and what to do."""
