"""The command line: `aqe`."""
