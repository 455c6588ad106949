"""Where projects declare what their tests need: one module for each kind of place."""
