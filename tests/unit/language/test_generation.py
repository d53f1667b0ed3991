"""A language model from training to answers: learned, judged, packaged, and text from a prompt."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from runwright_cli.predict_command import predict
from runwright_components.contract.artifacts import HISTORY, WEIGHTS, History, ModelManifest
from runwright_components.contract.config import EvaluateConfig, PackageConfig, PrepareConfig
from runwright_components.contract.evaluation import PREDICTIONS, Evaluation
from runwright_components.contract.outcome import StageError
from runwright_components.contract.progress import Event, Progress, silent
from runwright_components.evaluate import evaluate
from runwright_components.package import package
from runwright_components.report import report_page
from runwright_components.serve import protocol
from runwright_components.serve.generation import Sampling, choose
from runwright_components.serve.model import RunwrightModel
from runwright_components.serve.predictor import Predictor
from runwright_components.serve.request_error import RequestError
from runwright_components.train import train
from tests.unit.language.conftest import Prepare, prepare_config, sentences, train_config
from tests.unit.language.test_decoder import write_llama

PROMPT = {"prompt": "Story 7. The "}


@pytest.fixture(scope="module")
def predictor(packaged: Path) -> Predictor:
    return Predictor(packaged)


def written(predictor: Predictor, parameters: object = None, prompt: str = PROMPT["prompt"]) -> Any:
    (generation,) = predictor.predict_rows([{"prompt": prompt}], parameters).generations or ()
    return generation


# ---------------------------------------------------------------- judged


def test_a_trained_decoder_foretells_better_than_frequencies(judged: tuple[Path, Evaluation]) -> None:
    found = judged[1].metrics
    assert judged[1].verdict == "passed"
    assert found["bitsPerByte"] < 0.5 * found["baselineBitsPerByte"]
    assert found["perplexity"] < 8
    assert 0.3 < found["tokenAccuracy"] < 1
    assert found["tokensPerSecond"] > 0


def test_validation_in_training_agrees_with_the_judgement_of_the_graph(
    model: Path, judged: tuple[Path, Evaluation]
) -> None:
    validated = History.read(model, HISTORY).epochs[-1].validation_metric
    assert judged[1].metrics["bitsPerByte"] == pytest.approx(validated, rel=0.3)


def test_slices_and_documents_add_up_to_the_whole(judged: tuple[Path, Evaluation]) -> None:
    folder, evaluation = judged
    table = pl.read_parquet(folder / PREDICTIONS)
    whole = table["nats"].sum() / np.log(2) / table["bytes"].sum()
    assert whole == pytest.approx(evaluation.metrics["bitsPerByte"])
    assert {part.value for part in evaluation.slices} == {"even", "odd"}
    assert sum(part.rows for part in evaluation.slices) == evaluation.rows == len(table)


def test_samples_stand_in_the_report(corpus: Path, model: Path, judged: tuple[Path, Evaluation]) -> None:
    page = report_page(run_name="stories", prepared=corpus, model=model, evaluation=judged[0])
    assert "Samples" in page
    assert "Bits per byte" in page
    assert judged[1].samples[0].prompt.startswith("Story")


def test_the_package_tells_what_it_is(packaged: Path, judged: tuple[Path, Evaluation]) -> None:
    card = (packaged / "MODEL_CARD.md").read_text()
    assert "pipeline_tag: text-generation" in card
    assert f"Bits per byte on 30 untouched test rows: **{judged[1].metrics['bitsPerByte']:.4g}**" in card
    assert "Writes text that continues a prompt" in card


def test_a_gate_on_a_metric_of_another_task_is_refused(corpus: Path, model: Path, tmp_path: Path) -> None:
    config = EvaluateConfig.model_validate({"task": "generation", "gate": [{"metric": "accuracy", "min": 0.5}]})
    with pytest.raises(StageError, match='"accuracy" is not a metric of a generation'):
        evaluate(config, model=model, prepared=corpus, out=tmp_path / "e", progress=silent())


# ---------------------------------------------------------------- trained


def test_a_stopped_training_goes_on_bit_by_bit(corpus: Path, model: Path, tmp_path: Path) -> None:
    def run(progress: Progress, *, resume: bool) -> None:
        out, checkpoints = tmp_path / "model", tmp_path / "checkpoints"
        train(train_config(), prepared=corpus, out=out, checkpoints=checkpoints, resume=resume, progress=progress)

    def stop(event: Event) -> None:
        if event.kind == "progress" and event.done and not (tmp_path / "stopped").exists():
            (tmp_path / "stopped").touch()
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StageError, match="asked to stop"):
        run(Progress("train", sink=stop, interval=0.0), resume=False)
    run(silent(), resume=True)
    assert History.read(tmp_path / "model", HISTORY).resumed_from_step > 0
    one, other = (load_file(folder / WEIGHTS) for folder in (model, tmp_path / "model"))
    assert all(np.array_equal(one[name].numpy(), other[name].numpy()) for name in one)


# ---------------------------------------------------------------- answers


def test_the_likeliest_text_is_always_the_same(predictor: Predictor) -> None:
    first = written(predictor, {"max_tokens": 12})
    assert first == written(predictor, {"max_tokens": 12})
    assert first.finish_reason == "length"
    assert first.tokens == 12


def test_a_text_ends_by_itself(predictor: Predictor) -> None:
    ending = written(predictor, {"max_tokens": 200}, "all of them sing until the ")
    assert ending.finish_reason in ("stop", "length")
    assert ending.tokens < 32


def test_a_seed_draws_one_text_whatever_stands_beside_it(predictor: Predictor) -> None:
    drawn = {"temperature": 1.5, "max_tokens": 10, "seed": 5}
    alone = written(predictor, drawn)
    _, beside = predictor.predict_rows([{"prompt": "The owl"}, PROMPT], drawn).generations or ()
    assert beside == alone
    assert len({written(predictor, {**drawn, "seed": seed}).text for seed in range(5)}) > 1


def test_a_text_ends_before_a_stop_string(predictor: Predictor) -> None:
    whole = written(predictor, {"max_tokens": 20}).text
    stop = whole.strip().split(" ")[1]
    cut = written(predictor, {"max_tokens": 20, "stop": stop})
    assert cut.text == whole[: whole.index(stop)]
    assert cut.finish_reason == "stop"


def test_a_prompt_beyond_the_context_is_refused(predictor: Predictor) -> None:
    with pytest.raises(RequestError, match="the model sees 32 at once") as caught:
        written(predictor, None, "word " * 40)
    assert caught.value.where == "instances[0].prompt"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_token": 3}, 'unknown parameter "max_token" (did you mean "max_tokens"?)'),
        ({"max_tokens": 0}, "body.parameters.max_tokens: 0 is not between 1"),
        ({"max_tokens": 2.5}, "body.parameters.max_tokens: expected an integer, got a number"),
        ({"temperature": -1}, "body.parameters.temperature: -1 is not between 0 and 100"),
        ({"top_p": "high"}, "body.parameters.top_p: expected a number, got a string"),
        ({"stop": [""]}, "body.parameters.stop: expected a string or a list of strings"),
        ([], "body.parameters: expected an object, got a list"),
    ],
)
def test_a_wrong_parameter_is_named(predictor: Predictor, parameters: object, message: str) -> None:
    with pytest.raises(RequestError) as caught:
        written(predictor, parameters)
    assert message in str(caught.value)


def test_choosing_follows_the_probabilities() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], dtype=np.float32))

    def drawn(**fields: Any) -> set[int]:
        random = np.random.default_rng(0)
        return {choose(logits, Sampling(temperature=1.0, **fields), random) for _ in range(300)}

    assert drawn() == {0, 1, 2, 3}
    assert drawn(top_k=2) == {0, 1}
    assert drawn(top_p=0.7) == {0, 1}
    assert drawn(top_p=0.0) == {0}
    assert choose(logits, Sampling(), np.random.default_rng(0)) == 0
    random = np.random.default_rng(1)
    counts = np.bincount([choose(logits, Sampling(temperature=1.0), random) for _ in range(4000)], minlength=4)
    assert np.allclose(counts / 4000, [0.5, 0.3, 0.15, 0.05], atol=0.03)


def test_both_protocols_answer_alike(packaged: Path) -> None:
    model = RunwrightModel("stories", packaged)
    model.load()
    parameters = {"max_tokens": 8}
    body, rows = model.answer_v1(json.dumps({"instances": [PROMPT], "parameters": parameters}).encode())
    (one,) = json.loads(body)["predictions"]
    assert rows == 1
    request = {**protocol.as_v2(PROMPT, model.predictor.signature), "parameters": parameters}  # type: ignore[union-attr]
    outputs = {each["name"]: each for each in json.loads(model.answer_v2(json.dumps(request).encode())[0])["outputs"]}
    assert [outputs[name]["data"] for name in ("text", "finish_reason", "tokens")] == [
        [one["text"]],
        ["length"],
        [8],
    ]
    through_kserve = asyncio.run(model.predict({"instances": [PROMPT], "parameters": parameters}))
    assert through_kserve == {"predictions": [one]}
    assert [output["name"] for output in model.get_output_types()] == ["text", "finish_reason", "tokens"]


def test_the_command_prints_the_text(packaged: Path, predictor: Predictor) -> None:
    found = CliRunner().invoke(
        predict, [str(packaged), "--prompt", PROMPT["prompt"], "--parameter", "max_tokens=9"], catch_exceptions=False
    )
    assert found.output == written(predictor, {"max_tokens": 9}).text + "\n"
    rows = CliRunner().invoke(predict, [str(packaged), "--input", str(packaged / "example.json")])
    assert "finish_reason" in rows.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --input FILE, or --prompt TEXT"),
        (["--prompt", "x", "--parameter", "seed"], "write NAME=VALUE"),
        (["--prompt", "x", "--parameter", "sed=1"], 'did you mean "seed"?'),
    ],
)
def test_the_command_says_what_it_lacks(packaged: Path, arguments: list[str], message: str) -> None:
    found = CliRunner().invoke(predict, [str(packaged), *arguments])
    assert found.exit_code != 0
    assert message in found.output


# ---------------------------------------------------------------- fine-tuned


def write_tokenizer(folder: Path) -> None:
    """Bytes as tokens in 50 of them: 48 characters, and one that starts and one that ends."""
    letters = sorted("abcdefghijklmnopqrstuvwxyzSTIW0123456789.?,=ĠĊ")
    vocabulary = {letter: number + 2 for number, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.BPE({"<s>": 0, "</s>": 1, **vocabulary}, []))
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.mark.parametrize("lora", [None, {"rank": 4}], ids=["whole", "lora"])
def test_a_pretrained_model_is_fine_tuned_on_prompts(
    prepared_of: Prepare, tmp_path: Path, lora: dict[str, Any] | None
) -> None:
    write_llama(tmp_path / "llama", bos_token_id=0, eos_token_id=1, initializer_range=0.3)
    write_tokenizer(tmp_path / "llama")
    frame = pl.DataFrame({"ask": [f"say {n}?" for n in range(80)], "answer": ["yes, yes, yes"] * 80})
    config = prepare_config(prompt="ask", response="answer")
    config = PrepareConfig.model_validate({**config.model_dump(), "pretrained": str(tmp_path / "llama")})
    prepared = prepared_of(frame, config)
    model = {"name": "pretrained", "pretrained": str(tmp_path / "llama"), "lora": lora}
    manifest = train(
        train_config(model=model, epochs=6, learning_rate=0.02),
        prepared=prepared,
        out=tmp_path / "model",
        checkpoints=tmp_path / "c",
        resume=False,
        progress=silent(),
    )
    assert isinstance(manifest, ModelManifest)
    assert not any("up" in name.split(".") for name in load_file(tmp_path / "model" / WEIGHTS))
    judged = evaluate(
        EvaluateConfig(task="generation"),
        model=tmp_path / "model",
        prepared=prepared,
        out=tmp_path / "evaluation",
        progress=silent(),
    )
    assert judged.metrics["bitsPerByte"] < judged.metrics["baselineBitsPerByte"]
    package(
        PackageConfig(name="yes"),
        model=tmp_path / "model",
        evaluation=tmp_path / "evaluation",
        prepared=prepared,
        out=tmp_path / "package",
        progress=silent(),
    )
    answer = written(Predictor(tmp_path / "package"), {"max_tokens": 20}, "say 7?")
    assert answer.text.startswith("yes")


def test_sentences_differ() -> None:
    assert len(set(sentences(200))) == 200
