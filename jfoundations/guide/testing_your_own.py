"""Testing your own: laws for callbacks, folds, pipes and statistics.

.. include:: testing_your_own.md
"""
