"""Statistics you can trust: what is exact, what has a bound, what each mode costs."""
