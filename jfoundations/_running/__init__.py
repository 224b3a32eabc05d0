"""Running a fold over data in chunks: sources, progress, checkpoints, the tree of merges."""
