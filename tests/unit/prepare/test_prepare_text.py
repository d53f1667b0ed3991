"""Texts from raw rows to token numbers."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from transformers import AutoTokenizer

from runwright_components.contract.artifacts import Lineage, PreparedManifest, RawManifest
from runwright_components.contract.config import Column, PrepareConfig, SplitRules, TextRules
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import silent
from runwright_components.features import Preprocessing, load_split
from runwright_components.prepare import prepare
from runwright_components.prepare.quality import Quality

SPORT = ["the team won the match", "a late goal decided the game", "the coach praised the players", "they lost at home"]
FOOD = ["the soup was too salty", "we ordered bread and cheese", "the cake is baked slowly", "dinner tasted wonderful"]


@pytest.fixture
def raw(tmp_path: Path) -> Callable[..., Path]:
    """Write raw data as collect does."""

    def write(columns: dict[str, Any], **schema: Any) -> Path:
        folder = tmp_path / "raw"
        (folder / "data").mkdir(parents=True)
        frame = pl.DataFrame(columns, schema_overrides=schema)
        frame.write_parquet(folder / "data" / "0.parquet")
        RawManifest(
            digest="sha256:raw",
            rows=len(frame),
            columns={name: str(kind) for name, kind in frame.schema.items()},
            sources=(),
            files=("data/0.parquet",),
            lineage=Lineage(stage="collect", config="sha256:0"),
        ).write(folder)
        return folder

    return write


@pytest.fixture
def topics() -> dict[str, list[Any]]:
    """120 distinct texts under two labels."""
    sport = [f"{SPORT[i % 4]} on day {i}" for i in range(60)]
    food = [f"{FOOD[i % 4]} on day {i}" for i in range(60)]
    return {"text": sport + food, "label": ["sport"] * 60 + ["food"] * 60}


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """The folder of an encoder as far as prepare reads it: configuration and a WordPiece vocabulary."""
    folder = tmp_path / "encoder"
    words = sorted({word for text in SPORT + FOOD for word in text.split()} | {"on", "day", *map(str, range(10))})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *(f"##{digit}" for digit in range(10))]
    folder.mkdir()
    settings = {"model_type": "bert", "vocab_size": len(vocabulary), "max_position_embeddings": 24}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in vocabulary), encoding="utf-8")
    return folder


def config(**changes: Any) -> PrepareConfig:
    text = changes.pop("text", TextRules(max_tokens=32, vocabulary=400))
    split = changes.pop("split", SplitRules(strategy="stratified"))
    return PrepareConfig(modality="text", task="classification", target="label", text=text, split=split, **changes)


def run(rules: PrepareConfig, source: Path, out: Path) -> tuple[PreparedManifest, Quality]:
    manifest = prepare(rules, raw=source, out=out, progress=silent())
    return manifest, Quality.read(out, "quality.json")


def refused(rules: PrepareConfig, source: Path, out: Path) -> StageError:
    with pytest.raises(StageError) as caught:
        prepare(rules, raw=source, out=out, progress=silent())
    assert not out.exists()
    assert caught.value.cure
    assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []
    return caught.value


def test_splits_hold_what_the_served_model_will_read(raw, topics, tmp_path):
    manifest, quality = run(config(), raw(topics), tmp_path / "out")
    assert manifest.rows == {"train": 84, "validation": 18, "test": 18}
    assert manifest.class_counts == (42, 42)
    assert manifest.signature.labels == ("food", "sport")
    assert manifest.signature.ignored == ("label",)
    split = load_split(tmp_path / "out", "test")
    rows = pl.read_parquet(tmp_path / "out" / "test.raw.parquet")
    preprocessing = Preprocessing.load(tmp_path / "out" / "preprocessing")
    tensors = preprocessing.transform(rows)
    assert rows["row_id"].to_list() == split.row_id.tolist()
    assert {name: value.dtype for name, value in tensors.items()} == {"input_ids": np.int64, "attention_mask": np.int64}
    for name, value in tensors.items():
        np.testing.assert_array_equal(value, split.inputs[name])
    np.testing.assert_array_equal(preprocessing.target(rows), split.target)
    assert quality.rows_in == quality.rows_out == 120
    assert {each.name for each in quality.measures} == {"characters", "tokens", "tokens_per_word", "known_words"}


def test_the_example_row_can_be_sent(raw, topics, tmp_path):
    manifest, _ = run(config(), raw(topics), tmp_path / "out")
    example = manifest.signature.example
    assert example["text"] in topics["text"]
    ids = Preprocessing.load(tmp_path / "out" / "preprocessing").transform(pl.DataFrame([example]))["input_ids"]
    assert ids[0, 0] == 2
    assert ids[0, -1] == 3


def test_another_process_fits_the_same_bytes(raw, topics, tmp_path):
    source = raw(topics)
    here, _ = run(config(), source, tmp_path / "here")
    code = (
        "import sys; from pathlib import Path\n"
        "from runwright_components.contract.config import PrepareConfig\n"
        "from runwright_components.contract.progress import silent\n"
        "from runwright_components.prepare import prepare\n"
        "rules = PrepareConfig.model_validate_json(sys.argv[1])\n"
        "print(prepare(rules, raw=Path(sys.argv[2]), out=Path(sys.argv[3]), progress=silent()).digest)"
    )
    arguments = [config().canonical(), str(source), str(tmp_path / "there")]
    there = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    assert there.stdout.strip() == here.digest


def test_the_tokenizer_sees_the_training_split_alone(raw, topics, tmp_path):
    source = raw(topics)
    run(config(), source, tmp_path / "out")
    held_out = set(load_split(tmp_path / "out", "test").row_id.tolist())
    changed = pl.DataFrame(topics).with_row_index()
    words = pl.when(pl.col("index").is_in(held_out)).then(pl.lit("zzxzzx ") + pl.col("text")).otherwise("text")
    changed.select(text=words, label="label").write_parquet(source / "data" / "0.parquet")
    run(config(), source, tmp_path / "changed")
    tokenizers = [(tmp_path / name / "preprocessing" / "tokenizer.json").read_bytes() for name in ("out", "changed")]
    assert tokenizers[0] == tokenizers[1]


def test_rows_without_text_or_label_are_dropped_and_counted(raw, topics, tmp_path):
    topics["text"] += ["", "   \t", None, "\u200b\x07", "without label"]
    topics["label"] += ["food", "food", "sport", "sport", None]
    _, quality = run(config(), raw(topics), tmp_path / "out")
    assert [(each.reason, each.rows, each.samples) for each in quality.dropped] == [
        ("no text", 4, (120, 121, 122, 123)),
        ("no target", 1, (124,)),
    ]
    assert quality.rows_out == 120


def test_copies_are_dropped_and_conflicts_are_told(raw, topics, tmp_path):
    topics["text"] += [topics["text"][0], f"  {topics['text'][1]}\n", topics["text"][2]]
    topics["label"] += ["sport", "sport", "food"]
    _, quality = run(config(), raw(topics), tmp_path / "out")
    assert (quality.duplicates.found, quality.duplicates.dropped) == (2, 2)
    assert [row["row_id"] for row in quality.duplicates.sample] == [120, 121]
    assert any(
        "1 texts stand under more than one target (2 rows, kept; row 2: sport, row 122: food)" in each
        for each in quality.warnings
    )
    assert quality.rows_out == 121


def test_copies_stay_when_asked_to(raw, topics, tmp_path):
    topics["text"].append(topics["text"][0])
    topics["label"].append("sport")
    _, quality = run(config(duplicates="keep"), raw(topics), tmp_path / "out")
    assert (quality.duplicates.found, quality.duplicates.dropped, quality.rows_out) == (1, 0, 121)


def test_long_texts_are_cut_and_counted(raw, topics, tmp_path):
    topics["text"][0] = "the team won " * 500
    _, quality = run(config(), raw(topics), tmp_path / "out")
    assert any("1 texts (0.8%) have more than 32 tokens and are cut there" in each for each in quality.warnings)
    tokens = next(each.summary for each in quality.measures if each.name == "tokens")
    assert tokens.max is not None
    assert tokens.max > 1000
    assert max(load_split(tmp_path / "out", name).inputs["input_ids"].shape[1] for name in ("train", "test")) <= 32


def test_repairs_show_what_was_cleaned(raw, topics, tmp_path):
    topics["text"][5] = "cafe\u0301  \u00a0au\x00 lait\r\n"
    _, quality = run(config(), raw(topics), tmp_path / "out")
    (repair,) = quality.columns[0].repairs
    assert repair.rows == 1
    assert repair.samples == (("cafe\u0301  \u00a0au\x00 lait\r\n", "café au lait"),)


def test_a_group_stays_in_one_split(raw, topics, tmp_path):
    topics["author"] = [f"author {number % 12}" for number in range(120)]
    rules = config(split=SplitRules(strategy="group", by="author"))
    _, quality = run(rules, raw(topics), tmp_path / "out")
    authors = [
        {topics["author"][row] for row in load_split(tmp_path / "out", name).row_id} for name in ("train", "test")
    ]
    assert authors[0].isdisjoint(authors[1])
    assert quality.columns[2].role == "group"


def test_a_time_split_trains_on_the_past(raw, topics, tmp_path):
    topics["day"] = [f"2026-{1 + number % 12:02}-01" for number in range(120)]
    rules = config(split=SplitRules(strategy="time", by="day"))
    run(rules, raw(topics), tmp_path / "out")
    days = [{topics["day"][row] for row in load_split(tmp_path / "out", name).row_id} for name in ("train", "test")]
    assert max(days[0]) < min(days[1])


def test_a_time_split_reads_the_given_format(raw, topics, tmp_path):
    topics["day"] = [f"{1 + number % 12}/1/26" for number in range(120)]
    column = Column(name="day", type="datetime", date_formats=("%m/%d/%y",))
    run(config(split=SplitRules(strategy="time", by="day"), columns=(column,)), raw(topics), tmp_path / "out")
    test = load_split(tmp_path / "out", "test")
    assert {topics["day"][row] for row in test.row_id} == {"11/1/26", "12/1/26"}


def test_a_class_that_training_lacks_is_left_out(raw, topics, tmp_path):
    topics["text"] += ["a lonely text"]
    topics["label"] += ["politics"]
    rules = config(split=SplitRules(strategy="random", train=0.5, validation=0.25, test=0.25, seed=3))
    manifest, quality = run(rules, raw(topics), tmp_path / "out")
    if "politics" not in manifest.signature.labels:
        assert quality.dropped[0].reason == "a class that the training split does not have"
        assert sum(manifest.rows.values()) == 120


def test_pretrained_word_pieces_are_those_of_transformers(raw, topics, tmp_path, encoder):
    manifest, _quality = run(config(pretrained="encoder", base=str(tmp_path)), raw(topics), tmp_path / "out")
    state = json.loads((tmp_path / "out" / "preprocessing" / "state.json").read_bytes())
    assert state["text"]["source"] == "pretrained"
    assert state["text"]["max_tokens"] == 24  # the encoder has no more positions
    assert state["text"]["pad"] == 0
    assert manifest.vocabulary == len((encoder / "vocab.txt").read_text().splitlines())
    assert set(manifest.lineage.inputs) == {"raw", "tokenizer"}
    ours = Preprocessing.load(tmp_path / "out" / "preprocessing").transform(pl.DataFrame({"text": topics["text"]}))
    theirs = AutoTokenizer.from_pretrained(encoder)(topics["text"], padding=True, return_tensors="np")
    np.testing.assert_array_equal(ours["input_ids"], theirs["input_ids"])
    np.testing.assert_array_equal(ours["attention_mask"], theirs["attention_mask"])


def test_tokenizer_json_comes_before_vocab_txt(raw, topics, tmp_path, encoder):
    AutoTokenizer.from_pretrained(encoder).save_pretrained(encoder)
    saved = json.loads((encoder / "tokenizer.json").read_bytes())
    saved["padding"] = {
        "strategy": {"Fixed": 128},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }
    (encoder / "tokenizer.json").write_text(json.dumps(saved))
    (encoder / "vocab.txt").write_text("not\nread\n")
    run(config(pretrained=str(encoder)), raw(topics), tmp_path / "out")
    tensors = Preprocessing.load(tmp_path / "out" / "preprocessing").transform(pl.DataFrame({"text": ["they lost"]}))
    assert tensors["input_ids"].shape == (1, 4)


def test_unknown_words_are_told(raw, topics, tmp_path, encoder):
    topics["text"] = [f"{text} на русском" for text in topics["text"]]
    _, quality = run(config(pretrained=str(encoder)), raw(topics), tmp_path / "out")
    assert any("unknown to the tokenizer" in each for each in quality.warnings)


def test_a_pretrained_folder_without_tokenizer_is_refused(raw, topics, tmp_path, encoder):
    (encoder / "vocab.txt").unlink()
    error = refused(config(pretrained=str(encoder)), raw(topics), tmp_path / "out")
    assert error.reason is Reason.SOURCE_NOT_FOUND
    assert "tokenizer.json" in error.message
    assert "vocab.txt" in error.message
    assert str(encoder) in error.where


def test_a_pretrained_folder_that_is_not_there_is_refused(raw, topics, tmp_path):
    error = refused(config(pretrained="nowhere", base=str(tmp_path)), raw(topics), tmp_path / "out")
    assert error.where == str(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("tokenizer.json", "{", "tokenizer.json cannot be read"),
        ("config.json", "{", "config.json is not JSON"),
        ("config.json", '{"vocab_size": 10}', "the encoder knows 10"),
        ("vocab.txt", "[PAD]\n[UNK]\n", "vocab.txt lacks [CLS], [SEP]"),
    ],
)
def test_a_broken_pretrained_folder_is_refused(raw, topics, tmp_path, encoder, name, content, says):
    (encoder / name).write_text(content)
    error = refused(config(pretrained=str(encoder)), raw(topics), tmp_path / "out")
    assert says in error.message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows.update(label=["sport"] * 120), "single class 'sport'"),
        (lambda rows: rows.update(label=[None] * 120), "the target is missing in all 120 rows"),
        (lambda rows: rows.update(text=[" "] * 120), "all 120 rows are without text"),
        (lambda rows: rows.update(text=list(range(120))), "holds Int64, not text"),
        (lambda rows: rows.update(words=rows.pop("text")), "no column 'text'"),
        (lambda rows: rows.update(lable=rows.pop("label")), "did you mean 'lable'"),
        (lambda rows: rows["label"].__setitem__(0, "rare"), "a stratified split needs 3 rows of each class"),
    ],
)
def test_data_that_cannot_be_learned_from_are_refused(raw, topics, tmp_path, change, says):
    change(topics)
    schema = {"label": pl.String} if topics.get("label") == [None] * 120 else {}
    error = refused(config(), raw(topics, **schema), tmp_path / "out")
    assert says in error.message
    assert error.where


@pytest.mark.parametrize(
    ("split", "says"),
    [
        (SplitRules(strategy="group", by="writer"), "none named 'writer'"),
        (SplitRules(strategy="time"), "none named None"),
        (SplitRules(strategy="time", by="label"), "not dates in a known format, such as 'sport'"),
        (SplitRules(train=0.9, validation=0.2, test=0.1), "add up to 1"),
    ],
)
def test_a_split_that_cannot_be_made_is_refused(raw, topics, tmp_path, split, says):
    assert says in refused(config(split=split), raw(topics), tmp_path / "out").message


def test_texts_have_numbers_for_targets(raw: Callable[..., Path], topics: dict[str, list[Any]], tmp_path: Path) -> None:
    stars = [f"{1 + i % 9 / 2}" for i in range(120)]
    stars[3], stars[5] = "great", ""
    rules = PrepareConfig(
        modality="text",
        task="regression",
        target="stars",
        text=TextRules(max_tokens=32, vocabulary=400),
        split=SplitRules(strategy="random"),
    )
    manifest, quality = run(rules, raw({"text": topics["text"], "stars": stars}), tmp_path / "out")
    assert (manifest.task, manifest.modality, manifest.signature.labels) == ("regression", "text", ())
    assert sum(manifest.rows.values()) == 118
    assert [(each.reason, each.samples) for each in quality.dropped] == [("no target", (3, 5))]
    train = load_split(tmp_path / "out", "train")
    preprocessing = Preprocessing.load(tmp_path / "out" / "preprocessing")
    values = preprocessing.target_state.unscale(train.target)
    assert values.min() >= 1 - 1e-5
    assert values.max() <= 5 + 1e-5
    assert abs(float(train.target.mean())) < 1e-5
