"""The commands that speak with a cluster. `kubernetes` is imported when a command connects, not before."""
