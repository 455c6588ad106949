"""Which tests a change needs, and in which order."""
