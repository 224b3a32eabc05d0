"""Limits: what the library does not do, and where it is slower."""
