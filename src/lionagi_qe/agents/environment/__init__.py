"""The interpreter and packages that the project's code runs with, and its processes."""
