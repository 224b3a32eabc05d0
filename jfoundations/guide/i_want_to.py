"""I want to …: a wish a row, and the name that grants it."""
