"""The search for hyperparameters within train: Optuna chooses, processes train, the best trial's model goes on.

`space`, `assignment`, `objective` and `budget` are pure; `study` keeps what was tried, `crew` and `trial` are the two
ends of a process that trains, `search` brings them together.
"""
