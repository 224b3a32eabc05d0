"""The numbers: from a sample to sums, moments and order. Floors: numbers, sample, sums, moments, order."""
