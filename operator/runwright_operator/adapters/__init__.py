"""The doors to other systems: all I/O of the operator, and none of its decisions."""
