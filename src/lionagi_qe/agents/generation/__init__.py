"""Tests for functions that no test runs: written, checked, tried."""
