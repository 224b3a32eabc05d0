"""What a statistic is given: data, axes, weights, groups; checked once."""
