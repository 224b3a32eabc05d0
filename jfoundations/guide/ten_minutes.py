"""Ten minutes: a loop, a callback, lanes, a fold, a pipe and a law."""
