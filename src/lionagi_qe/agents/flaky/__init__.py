"""Which tests fail by chance, by their order, by the clock, or by leftovers."""
