"""Whether tests and benchmarks became slower, by what the memory holds of earlier runs."""
