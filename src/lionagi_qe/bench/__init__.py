"""Benchmarks: our memory beside the plain driver and other stores, on a server of the user's."""
