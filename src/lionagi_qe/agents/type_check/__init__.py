"""Whether the types of the project's code agree, as its own checker and settings judge it."""
