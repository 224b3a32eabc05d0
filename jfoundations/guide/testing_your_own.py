"""Testing your own: laws for callbacks, folds, pipes and statistics."""
