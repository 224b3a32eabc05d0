"""What everything stands on: values, pytrees, checks, programs, files; nothing here knows a loop or a number."""
