"""Tests in shards on the machines of a CI matrix, and one run made of their results."""
