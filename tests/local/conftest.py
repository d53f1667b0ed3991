"""The `runwright` command on examples, as a user starts it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from runwright_components.contract.config.trees import TREE_MODELS
from runwright_components.contract.config.unsupervised import FITTED_MODELS

ROOT = Path(__file__).parents[2]


class Ended(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


class Command:
    """Starts `runwright` with the arguments; one process of torch's threads each, so that tests do not fight."""

    quick = ("--set", "spec.train.epochs=2", "--set", "spec.evaluate.gate=[]")

    def quickly(self, file: Path) -> tuple[str, ...]:
        """`quick`, two trials where it searches, rounds for trees, and no epochs where the model is fitted at once."""
        text = file.read_text()
        if "task: environment-control" in text:  # steps in place of epochs
            fewer = ("spec.train.reinforcement.timesteps=3000", "spec.evaluate.episodes=5", "spec.evaluate.gate=[]")
            return tuple(word for change in fewer for word in ("--set", change))
        if any(f"name: {model}\n" in text for model in FITTED_MODELS):
            return self.quick[2:]
        if any(f"name: {model}" in text for model in TREE_MODELS):  # rounds in place of epochs
            return ("--set", "spec.train.model.trees.rounds=20", *self.quick[2:])
        return (*self.quick, "--set", "spec.tune.budget.trials=2") if "\n  tune:" in text else self.quick

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "runwright_cli", *map(str, arguments)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._running.append(process)
        return process

    def __call__(self, *arguments: str | Path) -> Ended:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=540)
        return Ended(process.returncode, out, err)

    @contextmanager
    def serving(self, package: Path) -> Iterator[str]:
        """The address of a server of the package, while the block runs."""
        process = self.start("serve", package, "--port", "0")
        assert process.stdout is not None
        found = next((found for line in process.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line))), None)
        assert found, f"the server ended with {process.wait()}"
        yield found.group()
        process.terminate()
        assert process.wait(timeout=60) == 0, "SIGTERM ends it well"

    def close(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.communicate()


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of one example stay in one worker, where `finished` ran it."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec and "name" in callspec.params and item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.xdist_group(callspec.params["name"]))


@pytest.fixture
def runwright() -> Iterator[Command]:
    command = Command()
    yield command
    command.close()


@pytest.fixture
def example(tmp_path: Path) -> Callable[[str], Path]:
    """`example(name)`: the TrainingRun of a fresh copy of an example."""

    def copy(name: str) -> Path:
        shutil.copytree(ROOT / "examples" / name, tmp_path / name, ignore=shutil.ignore_patterns(".runwright"))
        return tmp_path / name / "run.yaml"

    return copy


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """`finished(name)`: the workspace of an example that ran once for all tests, in few epochs and with no gate.

    The encoder of the reviews, which does not lie in the repository, is a small one that never learned anything.
    """
    command = Command()

    @cache
    def run(name: str) -> Path:
        folder = tmp_path_factory.mktemp("finished") / name
        shutil.copytree(ROOT / "examples" / name, folder, ignore=shutil.ignore_patterns(".runwright"))
        if name == "reviews":
            _write_encoder(folder / "encoder", folder / "data" / "reviews.csv")
        ended = command("run", folder / "run.yaml", *command.quickly(folder / "run.yaml"))
        assert ended.code == 0, ended.text
        return folder / ".runwright" / name

    yield run
    command.close()


def _write_encoder(folder: Path, texts: Path) -> None:
    """A BERT of one layer in the Hugging Face layout, with a WordPiece vocabulary of the texts."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertModel

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=500, special_tokens=special)
    tokenizer.train_from_iterator(texts.read_text(encoding="utf-8").splitlines(), trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=500, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))


def wait_for(what: Callable[[], bool], *, seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.02)


@pytest.fixture(name="wait_for")
def _wait_for() -> Callable[..., None]:
    return wait_for
