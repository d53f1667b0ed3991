"""The user's own training code: a process of its own over folders, whose export becomes a model like any other.

docs/own-code.md is the contract that users read. Importing this package is light.
"""

from runwright_components.train.code.stage import train_code

__all__ = ["train_code"]
