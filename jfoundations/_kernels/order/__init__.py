"""What sorting would give, and counting gives sooner: selection, quantiles, occurrences."""
