"""The train stage: plain torch under torchrun's elastic agent, with checkpoints that resume bit by bit.

Importing this package is light; torch is loaded when a training starts.
"""

from runwright_components.train.stage import train

__all__ = ["train"]
