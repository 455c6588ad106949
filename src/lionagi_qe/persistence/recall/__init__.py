"""Search in entries by the words they hold and by what they mean."""
