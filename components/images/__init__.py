"""Runwright's container images, put together without an engine from Debian's packages, pinned wheels and our code.

`build.py` is the program, `table.py` says what each image holds, docs/images.md is for those who use them.
"""
