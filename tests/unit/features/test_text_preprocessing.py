"""Cleaning, tokenizing and padding, the same for one row and for many."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright_components.contract.artifacts import Field, Signature
from runwright_components.contract.config import TextRules
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.features import Preprocessing
from runwright_components.features.target import Target
from runwright_components.features.text import TextPreprocessing, TextPreprocessingState, TextState, cleaned
from runwright_components.prepare.tokenizer import special_tokens, train

CORPUS = ["the quick brown fox jumps over the lazy dog", "every café serves coffee", "fünf Boxkämpfer jagen Viktor"] * 3


def build(max_tokens: int = 16, *, lowercase: bool = True) -> TextPreprocessing:
    tokenizer = train(CORPUS, TextRules(vocabulary=300, lowercase=lowercase))
    signature = Signature(
        task="classification",
        modality="text",
        inputs=(Field(name="text", type="text", text=True, nullable=False),),
        labels=("a", "b"),
        tensors=(),
    )
    state = TextPreprocessingState(
        signature=signature,
        target=Target(name="label", task="classification", keys=("a", "b"), labels=("a", "b")),
        text=TextState(
            column="text",
            max_tokens=max_tokens,
            pad=0,
            vocabulary=tokenizer.get_vocab_size(),
            special=special_tokens(tokenizer),
            source="trained",
        ),
    )
    return TextPreprocessing(state, tokenizer)


BUILT = build()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("  two   words\t\r\n", "two words"),
        ("cafe\u0301", "café"),
        ("zero\u200bwidth\ufeff soft\u00adhyphen", "zerowidth softhyphen"),
        ("bell\x07 and nul\x00", "bell and nul"),
        ("no\u00a0break\u2003em", "no break em"),
        ("👩\u200d💻 codes", "👩\u200d💻 codes"),
        ("\u200b \x07", ""),
        (None, None),
    ],
)
def test_cleaning(text, clean):
    assert pl.select(cleaned(pl.lit(text, dtype=pl.String))).item() == clean


@given(st.text(max_size=80))
def test_cleaning_twice_changes_nothing(text):
    once = pl.select(cleaned(pl.lit(text))).item()
    assert pl.select(cleaned(pl.lit(once))).item() == once


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=6))
def test_a_row_does_not_depend_on_the_others(texts):
    together = BUILT.transform(pl.DataFrame({"text": texts}))
    longest = 0
    for row, text in enumerate(texts):
        alone = BUILT.transform(pl.DataFrame({"text": [text]}))
        length = alone["input_ids"].shape[1]
        longest = max(longest, length)
        np.testing.assert_array_equal(together["input_ids"][row, :length], alone["input_ids"][0])
        assert together["attention_mask"][row].sum() == alone["attention_mask"][0].sum() == length
        assert (together["input_ids"][row, length:] == 0).all()
    assert together["input_ids"].shape == together["attention_mask"].shape == (len(texts), longest)


def test_every_text_has_its_two_brackets():
    tensors = BUILT.transform(pl.DataFrame({"text": ["", "the dog", None]}))
    assert tensors["input_ids"][:, 0].tolist() == [2, 2, 2]
    assert tensors["input_ids"][0, :2].tolist() == tensors["input_ids"][2, :2].tolist() == [2, 3]
    assert tensors["attention_mask"].sum(axis=1).tolist()[0] == 2


def test_special_numbers():
    assert special_tokens(train(CORPUS, TextRules(vocabulary=300))) == {
        "[PAD]": 0,
        "[UNK]": 1,
        "[CLS]": 2,
        "[SEP]": 3,
    }


def test_a_long_text_is_cut_and_closed():
    ids = build(8).transform(pl.DataFrame({"text": ["the quick brown fox " * 50]}))["input_ids"]
    assert ids.shape == (1, 8)
    assert ids[0, -1] == 3


def test_no_script_is_unknown():
    ids = BUILT.transform(pl.DataFrame({"text": ["Привет мир", "你好", "🦊"]}))["input_ids"]
    assert not (ids == 1).any()


def test_case_counts_when_asked():
    rows = pl.DataFrame({"text": ["The DOG", "the dog"]})
    folded, kept = (build(lowercase=choice).transform(rows)["input_ids"] for choice in (True, False))
    np.testing.assert_array_equal(folded[0], folded[1])
    assert not np.array_equal(kept[0], kept[1])


def test_no_rows_give_empty_tensors():
    tensors = BUILT.transform(pl.DataFrame({"text": []}, schema={"text": pl.String}))
    assert tensors["input_ids"].shape[0] == 0


def test_saved_and_loaded_it_is_the_same(tmp_path: Path):
    BUILT.save(tmp_path / "a")
    loaded = Preprocessing.load(tmp_path / "a")
    rows = pl.DataFrame({"text": CORPUS})
    np.testing.assert_array_equal(BUILT.transform(rows)["input_ids"], loaded.transform(rows)["input_ids"])
    loaded.save(tmp_path / "b")
    for name in ("state.json", "tokenizer.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_outputs_are_labels_and_probabilities():
    predictions = BUILT.outputs({"logits": np.array([[0.0, np.log(3)]], dtype=np.float32)})
    assert predictions.labels == ["b"]
    assert predictions.probabilities is not None
    np.testing.assert_allclose(predictions.probabilities, [[0.25, 0.75]], rtol=1e-6)


@pytest.mark.parametrize("content", [None, "", "{}", '{"version": "1.0"'])
def test_a_broken_tokenizer_is_refused(tmp_path, content):
    BUILT.save(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(StageError, match=r"tokenizer\.json cannot be read") as caught:
        Preprocessing.load(tmp_path)
    assert caught.value.reason is Reason.DATA_UNREADABLE


@pytest.mark.parametrize(
    ("frame", "says"),
    [(pl.DataFrame({"words": ["a"]}), "no text column 'text'"), (pl.DataFrame({"text": [1]}), "Int64")],
)
def test_rows_that_do_not_fit_are_refused(frame, says):
    with pytest.raises(StageError, match=says) as caught:
        BUILT.transform(frame)
    assert caught.value.reason is Reason.DATA_INVALID
