"""How calls made at the same moment travel to the server together, in order and in time."""
