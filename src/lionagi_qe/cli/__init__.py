"""The command line: ``aqe``."""
