"""The package of an agent: judged by whole episodes, compared with its weights, asked over both protocols."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from runwright_components.contract.artifacts import EXAMPLE
from runwright_components.contract.config import Bound, EvaluateConfig, PackageConfig
from runwright_components.contract.evaluation import EVALUATION, PREDICTIONS, Evaluation
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import silent
from runwright_components.environments.episodes import Episodes
from runwright_components.evaluate import evaluate
from runwright_components.evaluate.control import metrics
from runwright_components.package import package
from runwright_components.report import curves_page, quality_page, report_page
from runwright_components.serve.predictor import Predictor, RequestError
from runwright_components.serve.protocol import columns, output_metadata, predictions, tensors
from tests.unit.reinforcement.conftest import Prepared, environment


@pytest.fixture(scope="module")
def judged(walker: Path, prepared: Prepared) -> Path:
    out = walker.parent / "evaluation"
    bound = Bound(metric="gainOverRandom", min=0.0)
    evaluate(
        EvaluateConfig(task="control", episodes=6, gate=(bound,), latency_requests=20),
        model=walker,
        prepared=prepared(environment()),
        out=out,
        progress=silent(),
    )
    return out


@pytest.fixture(scope="module")
def packaged(walker: Path, judged: Path, prepared: Prepared) -> Path:
    out = walker.parent / "package"
    found = package(
        PackageConfig(name="walk"),
        model=walker,
        evaluation=judged,
        prepared=prepared(environment()),
        out=out,
        progress=silent(),
    )
    assert found.parity is not None
    assert found.parity <= 1e-4
    return out


def test_the_agent_is_judged_beside_chance_and_the_rule(judged: Path) -> None:
    found = Evaluation.read(judged, EVALUATION)
    assert list(found.returns) == ["agent", "chance", "straight"]
    assert all(len(returns) == 6 for returns in found.returns.values())
    assert found.verdict == "passed"
    assert found.metrics["gainOverRandom"] > 10
    assert found.metrics["baselineReward"] == pytest.approx(float(np.mean(found.returns["straight"])))
    assert found.metrics["meanLength"] == 12
    assert 0 <= found.metrics["successRate"] <= 1
    table = pl.read_parquet(judged / PREDICTIONS)
    assert table["player"].to_list() == ["agent"] * 6 + ["chance"] * 6 + ["straight"] * 6
    assert table["seed"].n_unique() == 6


def test_figures_without_a_threshold_or_a_rule() -> None:
    agent, chance = (
        Episodes(np.array(returns), np.array([2, 4]), [None, None]) for returns in ([1.0, 3.0], [0.0, 1.0])
    )
    found = metrics(agent, chance, None, None)
    assert found == {
        "meanReward": 2.0,
        "stdReward": pytest.approx(2**0.5),
        "worstReward": 1.0,
        "meanLength": 3.0,
        "randomReward": 0.5,
        "gainOverRandom": 1.5,
    }
    assert metrics(agent, chance, None, 2.5) | found == {
        **found,
        "successRate": 0.5,
        "normalizedReward": pytest.approx(0.75),
    }


def test_a_package_answers_with_actions(packaged: Path) -> None:
    predictor = Predictor(packaged)
    given = json.loads((packaged / EXAMPLE).read_text())["instances"]
    assert sorted(given[0]) == ["goal", "place"]
    (answer,) = predictions(predictor.signature, predictor.predict_rows(given))
    assert answer["action"] in (0, 1)
    assert output_metadata(predictor.signature) == [{"name": "action", "datatype": "INT64", "shape": [-1]}]
    body = {
        "inputs": [
            {"name": "place", "shape": [2], "datatype": "FP64", "data": [-9.0, 15.0]},
            {"name": "goal", "shape": [2], "datatype": "FP64", "data": [4.0, 4.0]},
        ]
    }
    found = predictor.predict_columns(columns(body, predictor.signature))
    assert tensors(predictor.signature, found, ("action",)) == [
        {"name": "action", "datatype": "INT64", "shape": [2], "data": [1, 0]}
    ]


def test_an_instance_has_a_number_in_each_field(packaged: Path) -> None:
    predictor = Predictor(packaged)
    for row, words in (({"place": 1.0}, 'missing field "goal"'), ({"place": None, "goal": 4.0}, "place")):
        with pytest.raises(RequestError) as caught:
            predictor.predict_rows([row])
        assert words in str(caught.value)


def test_a_card_and_pages_tell_of_the_agent(packaged: Path, walker: Path, judged: Path, prepared: Prepared) -> None:
    card = (packaged / "MODEL_CARD.md").read_text()
    assert "6 whole episodes with seeds of their own; chance, straight played the same ones" in card
    assert "Mean return above that of the rule of thumb" in card
    folder = prepared(environment())
    assert "played by chance" in quality_page(folder)
    assert "by ppo, hidden 8" in curves_page(walker)
    page = report_page(run_name="walk", prepared=folder, model=walker, evaluation=judged)
    assert "Returns, straight" in page
    assert "Gain over chance" in page


def test_a_difference_beyond_the_tolerance_is_refused(
    walker: Path, judged: Path, prepared: Prepared, tmp_path: Path
) -> None:
    from runwright_components.package.parity import check_parity
    from runwright_components.train.reinforcement.policy import load_policy

    assert sum(parameter.numel() for parameter in load_policy(walker).parameters()) == 2 * 8 + 8 + 8 * 2 + 2
    with pytest.raises(StageError) as caught:
        check_parity(walker, prepared(environment()), -1.0, silent())
    assert caught.value.reason is Reason.PARITY_FAILED
