"""Sums in one read of memory: the layout, blocks about pivots, trees, exact limbs."""
