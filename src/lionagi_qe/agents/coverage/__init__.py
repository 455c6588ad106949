"""Which lines the tests ran."""
