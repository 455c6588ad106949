"""The examined project as it lies there: its files, layout, settings and what changed."""
