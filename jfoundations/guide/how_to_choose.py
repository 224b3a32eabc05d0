"""How to choose: driver, executor, accuracy, statistic.

.. include:: how_to_choose.md
"""
