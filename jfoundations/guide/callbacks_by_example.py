"""Callbacks by example: fourteen recipes."""
