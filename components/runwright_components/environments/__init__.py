"""Environments of Gymnasium: opened, described, guarded against what they should not do, and played in.

Importing this package is light; Gymnasium is loaded when an environment is opened.
"""
