"""Batches of tokens: windows that cover the stream, examples with a learned part, a loss that adds up."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from runwright_components.contract.outcome import StageError
from runwright_components.features.corpus import CORPUS, IDS, Corpus
from runwright_components.train.tokens import UNLEARNED, TokenObjective, TokenSplit
from tests.unit.language.conftest import CONTEXT, Prepare, sentences

CPU = torch.device("cpu")


def stream(folder: Path, split: str) -> list[int]:
    return np.fromfile(folder / f"{split}.tokens.bin", dtype=Corpus.read(folder, CORPUS).dtype).tolist()


def test_validation_foretells_every_token_once(corpus: Path) -> None:
    split = TokenSplit(corpus, "validation", CPU)
    inputs, target = split.take(torch.arange(len(split)))
    tokens = stream(corpus, "validation")
    assert target[target != UNLEARNED].tolist() == tokens[1:]
    assert inputs[IDS].flatten()[: len(tokens) - 1].tolist() == tokens[:-1]


def test_training_windows_start_elsewhere_in_every_epoch_and_the_same_after_a_restart(corpus: Path) -> None:
    split, again = (TokenSplit(corpus, "train", CPU, phased=True, seed=3) for _ in range(2))
    firsts = []
    for epoch in range(6):
        split.start(epoch, iter(()))
        inputs, target = split.take(torch.tensor([0, 2]))
        assert inputs[IDS].shape == target.shape == (2, CONTEXT)
        assert torch.equal(inputs[IDS][:, 1:], target[:, :-1])
        firsts.append(inputs[IDS][0].tolist())
    assert len({tuple(first) for first in firsts}) > 1
    again.start(5, iter(()))
    assert again.take(torch.tensor([0]))[0][IDS][0].tolist() == firsts[5]


def test_a_text_shorter_than_the_context_is_refused(prepared_of: Prepare) -> None:
    folder = prepared_of(pl.DataFrame({"text": ["tiny", "text", "here"]}), max_tokens=512)
    with pytest.raises(StageError) as caught:
        TokenSplit(folder, "train", CPU, phased=True)
    assert "fewer than the model sees at once (512)" in caught.value.message
    assert caught.value.where == "train.model.context"


def test_an_altered_token_file_is_refused(prepared_of: Prepare) -> None:
    folder = prepared_of(pl.DataFrame({"text": sentences(20)}))
    with (folder / "train.tokens.bin").open("ab") as file:
        file.write(b"\0\0")
    with pytest.raises(StageError, match=r"not those that corpus\.json counts"):
        TokenSplit(folder, "train", CPU)


@pytest.fixture
def examples(prepared_of: Prepare) -> Path:
    frame = pl.DataFrame(
        {"ask": [f"Number {n}?" for n in range(30)], "answer": [f"{n} " * (n % 5 + 1) for n in range(30)]}
    )
    return prepared_of(frame, prompt="ask", response="answer")


def test_an_example_is_a_row_whose_response_has_a_loss(examples: Path) -> None:
    split = TokenSplit(examples, "train", CPU)
    inputs, target = split.take(torch.arange(len(split)))
    assert int((target != UNLEARNED).sum()) == split.figures.learned
    known = target != UNLEARNED
    assert torch.equal(target[:, :-1][known[:, :-1]], inputs[IDS][:, 1:][known[:, :-1]])


def test_losses_of_micro_batches_add_up_to_that_of_the_batch(examples: Path) -> None:
    split = TokenSplit(examples, "train", CPU)
    objective = TokenObjective(split, TokenSplit(examples, "validation", CPU))
    torch.manual_seed(0)
    table = torch.randn(300, 300)

    def loss(rows: torch.Tensor) -> torch.Tensor:
        inputs, target = split.take(rows)
        return objective.loss(table[inputs[IDS]], target)

    whole = loss(torch.arange(12))
    parts = [loss(torch.arange(start, start + 3)) / 4 for start in range(0, 12, 3)]
    assert float(sum(parts)) == pytest.approx(float(whole), rel=1e-5)


def test_bits_per_byte_are_of_the_text_not_of_the_tokens(corpus: Path) -> None:
    split = TokenSplit(corpus, "validation", CPU)
    objective = TokenObjective(split, split)
    sums = torch.zeros(5, dtype=torch.float64)
    for row in range(len(split)):
        _, target = split.take(torch.tensor([row]))
        sums += objective.sums(torch.zeros(*target.shape, 256), target.clamp(max=255))
    result = objective.summarize(sums)
    assert result.loss == pytest.approx(np.log(256))  # every token costs eight bits
    assert result.metric == pytest.approx(8 * (split.figures.tokens - 1) / split.figures.size)
