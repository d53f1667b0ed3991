"""The documents of a language model as rows: windows of a stream of tokens, or examples with a learned part."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from runwright_components.contract.artifacts import PREPROCESSING, STATE
from runwright_components.contract.config import SplitName
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features.corpus import (
    CORPUS,
    IDS,
    Corpus,
    CorpusSplit,
    GenerationPreprocessingState,
)
from runwright_components.train.data import Inputs
from runwright_components.train.mixing import Blend
from runwright_components.train.objective import Objective, Validation

UNLEARNED = -100  # target of a token without a loss


class TokenSplit:
    """A split whose tokens stay on disk, mapped into memory; `take` reads those of a batch.

    A text's rows are windows of `context` tokens over all documents, one after the other as in GPT-2 (Radford et al.
    2019). With `phased`, each epoch starts them at another place, drawn from the seed and the epoch alone, so that
    tokens meet other neighbours. Of prompts and conversations a row is one example, cut after `context` tokens.
    """

    evaluation_factor = 1  # rows of a validation batch over those of a training batch: logits take much memory

    def __init__(
        self,
        prepared: Path,
        name: SplitName,
        device: torch.device,
        *,
        phased: bool = False,
        seed: int = 0,
    ) -> None:
        corpus = Corpus.read(prepared, CORPUS)
        state = GenerationPreprocessingState.read(prepared / PREPROCESSING, STATE).generation
        self.figures: CorpusSplit = corpus.splits[name]
        self.context, self._end = state.context, state.end
        self._device, self._seed, self._phased = device, seed, phased
        self._tokens = np.memmap(prepared / f"{name}.tokens.bin", dtype=corpus.dtype, mode="r")
        self._ends = np.memmap(prepared / f"{name}.ends.bin", dtype=np.int64, mode="r")
        self._learned = np.memmap(prepared / f"{name}.learned.bin", dtype=np.uint8, mode="r") if corpus.masked else None
        if len(self._tokens) != self.figures.tokens or len(self._ends) != self.figures.documents:
            raise StageError(
                Reason.DATA_INVALID,
                f"the tokens of the {name} split are not those that {CORPUS} counts",
                where=str(prepared),
                cure="the prepared data was altered or made by another version; run prepare again",
            )
        self._phase = 0
        targets = len(self._tokens) - 1
        if corpus.masked:
            self._rows = self.figures.documents
        elif phased:
            self._rows = max(1, targets // self.context - 1)
            self._require_window(targets, name)
        else:
            self._rows = math.ceil(targets / self.context)

    def _require_window(self, targets: int, name: str) -> None:
        if targets < self.context:
            raise StageError(
                Reason.DATA_INVALID,
                f"the {name} split has {targets + 1} tokens, fewer than the model sees at once ({self.context})",
                where="train.model.context",
                cure="collect more text, or set a smaller context",
            )

    def __len__(self) -> int:
        return self._rows

    @property
    def learned_per_row(self) -> float:
        """Mean tokens with a loss in a row of training."""
        return float(self.context) if self._learned is None else self.figures.learned / self.figures.documents

    @property
    def learned_per_byte(self) -> float:
        """Tokens with a loss for each byte of the text that they encode."""
        learned = self.figures.tokens - 1 if self._learned is None else self.figures.learned
        return learned / self.figures.size

    def start(self, epoch: int, upcoming: Iterator[Tensor]) -> None:  # noqa: ARG002 (the kernel reads ahead)
        """Settle where the windows of an epoch start."""
        if self._phased and self._learned is None:
            spare = len(self._tokens) - 1 - self._rows * self.context
            self._phase = int(np.random.default_rng([self._seed, epoch, 1]).integers(min(spare, self.context) + 1))

    def take(self, rows: Tensor) -> tuple[Inputs, Tensor]:
        """`input_ids` int64 [N, T] and the token after each, int64 [N, T], UNLEARNED where there is no loss."""
        ids, target = self._windows(rows.numpy()) if self._learned is None else self._examples(rows.numpy())
        inputs, targets = (torch.from_numpy(each).to(self._device, non_blocking=True) for each in (ids, target))
        return {IDS: inputs}, targets

    def _windows(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        places = rows[:, None] * self.context + self._phase + np.arange(self.context + 1)
        inside = places < len(self._tokens)
        tokens = self._tokens[np.minimum(places, len(self._tokens) - 1)].astype(np.int64)
        return tokens[:, :-1], np.where(inside, tokens, UNLEARNED)[:, 1:]

    def _examples(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        assert self._learned is not None
        ends = self._ends[rows]
        starts = np.where(rows > 0, self._ends[np.maximum(rows - 1, 0)], 0)
        lengths = np.minimum(ends - starts, self.context + 1)
        places = starts[:, None] + np.arange(lengths.max())
        inside = places < (starts + lengths)[:, None]
        places = np.where(inside, places, 0)
        tokens = np.where(inside, self._tokens[places].astype(np.int64), self._end)
        learned = inside & (self._learned[places] > 0)
        return tokens[:, :-1], np.where(learned, tokens, UNLEARNED)[:, 1:]


class TokenObjective(Objective):
    """Cross entropy of `logits` [N, T, V] and the next tokens [N, T]; validation tells bits per byte.

    A batch's loss is its sum over the tokens that a batch of its size has on average: then tokens count the same in
    whatever batch, micro-batch or rank they are, however many of its tokens are learned.
    """

    def __init__(self, training: TokenSplit, validation: TokenSplit) -> None:
        super().__init__("generation")
        self._per_row = training.learned_per_row
        self._per_byte = validation.learned_per_byte

    @property
    def metric(self) -> str:
        return "bits_per_byte"

    def loss(self, output: Tensor, target: Tensor, blend: Blend | None = None) -> Tensor:
        """Sum over the learned tokens by their mean number, scalar float32."""
        assert blend is None
        return self._sum(output, target) / (len(target) * self._per_row)

    def sums(self, output: Tensor, target: Tensor) -> Tensor:
        """Nats, right guesses and learned tokens of a batch, float64 [5] with two zeros."""
        learned = target != UNLEARNED
        right = ((output.argmax(dim=-1) == target) & learned).sum()
        zero = torch.zeros((), dtype=torch.float64, device=target.device)
        return torch.stack([self._sum(output, target).double(), right.double(), learned.sum().double(), zero, zero])

    def summarize(self, sums: Tensor) -> Validation:
        """Nats a token, and bits a byte of the text."""
        nats, _, tokens, *_ = (float(value) for value in sums)
        return Validation(nats / tokens, nats / tokens * self._per_byte / math.log(2))

    @staticmethod
    def _sum(output: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(
            output.flatten(0, 1).float(), target.flatten(), ignore_index=UNLEARNED, reduction="sum"
        )
