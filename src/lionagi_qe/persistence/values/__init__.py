"""Keys, values, patterns, URLs and arguments: checked and turned into bytes in one place."""
