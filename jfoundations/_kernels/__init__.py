"""Numbers, from a sample to sums, moments, order: numbers < sample < sums < moments < order."""
