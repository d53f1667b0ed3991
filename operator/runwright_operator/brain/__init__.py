"""What to do about a TrainingRun: `decide(observed, now, rules)` gives the next status and typed actions.

No I/O here, no clock, no randomness: the same observation gives the same decision, whatever rang the bell. The decision
is a chain of gates (`decide.GATES`), each a small function over a `Draft` in a file of its own.
"""
