"""Policies that learn from what the fleet did before; their state lives in the shared memory."""
