"""Encryption at rest: values, payloads and holders leave the process sealed."""
