"""The fleet: runs the agents over a project, remembers what they found, and reports it."""
