"""A small shop: catalogue, basket, prices, stock and orders."""
