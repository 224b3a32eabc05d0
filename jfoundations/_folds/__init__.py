"""Folds as values: init, step, merge, extract, and what is made of them."""
