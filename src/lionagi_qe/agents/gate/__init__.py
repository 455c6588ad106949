"""Whether a run is good enough."""
