"""Publish a package as a version of a registry: a folder or a prefix of object storage that holds NAME/1, NAME/2, ...

A version is there as a whole or not at all, is never changed, and the same package is one version.
"""

from runwright_components.register.stage import register

__all__ = ["register"]
