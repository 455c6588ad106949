"""The calls that a Memory offers, grouped by what they touch."""
