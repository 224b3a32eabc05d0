"""Coming from other libraries: their lines, and the same here."""
