"""Whether the examples in docstrings and documents do what they show."""
