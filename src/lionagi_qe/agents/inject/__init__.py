"""What runs inside the project's interpreter; imported there by file name, never from here."""
