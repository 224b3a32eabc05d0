"""Statistics you can trust: what is exact, what has a bound, what each mode costs.

.. include:: statistics_to_trust.md
"""
