"""Running the project's tests: environment, process, pytest, outcomes."""
