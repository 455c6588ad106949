"""Which small changes to the code no test notices."""
