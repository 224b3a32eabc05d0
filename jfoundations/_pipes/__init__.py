"""Pipelines: pure functions one after another, side by side, and turned around."""
