"""Callbacks by example: twelve recipes.

.. include:: callbacks_by_example.md
"""
