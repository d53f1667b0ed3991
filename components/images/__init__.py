"""Runwright's container images, put together from Debian's packages, pinned wheels and our code without a container engine.

`build.py` is the program, `table.py` says what each image holds, docs/images.md is for those who use them.
"""
