"""Coming from other libraries: their lines, and the same here.

.. include:: coming_from.md
"""
