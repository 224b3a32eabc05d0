"""Means and sums of powers of deviations: one memory, its merge, its derivative, its formulas."""
