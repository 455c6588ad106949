"""Whether what the project stands on has known vulnerabilities."""
