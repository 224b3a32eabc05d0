"""What everything stands on: values, pytrees, checks, programs, files; it knows no loop."""
