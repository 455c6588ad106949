"""The forms in which a run is told: to a person, to a program, to a CI server."""
