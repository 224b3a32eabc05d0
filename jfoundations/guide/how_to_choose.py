"""How to choose: driver, executor, accuracy, statistic."""
