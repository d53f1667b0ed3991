"""How well a policy acts, through the graph that is served; and how chance and a rule of thumb do in its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from runwright_components.contract.artifacts import RAW_TEST
from runwright_components.contract.config import EvaluateConfig
from runwright_components.contract.environment import FILES
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.contract.progress import Progress
from runwright_components.environments.episodes import Episodes, by_chance, by_rule, play
from runwright_components.environments.guard import Floats
from runwright_components.environments.opening import read_environment, rule_of_thumb
from runwright_components.evaluate import speed
from runwright_components.evaluate.judged import Judged
from runwright_components.features.environment import ACTION, OBSERVATION
from runwright_components.serve.predictor import Predictor

AGENT, CHANCE = "agent", "chance"
_SEED = 2**30  # apart from those of training and its validations


def judge(config: EvaluateConfig, predictor: Predictor, prepared: Path, progress: Progress) -> Judged:
    """Play `config.episodes` episodes by the graph, by chance and, where there is one, by the rule of thumb, all from
    the same seeds. The table has a row an episode of a player. Raises StageError."""
    environment, make = read_environment(prepared)
    seeds = [_SEED + config.seed + number for number in range(config.episodes)]
    rule = rule_of_thumb(environment.config, prepared / FILES)
    players = {AGENT: lambda observations, _: _act(predictor, observations), CHANCE: by_chance}
    if rule is not None:
        players[str(environment.config.baseline)] = by_rule(rule, str(environment.config.baseline))
    found = {}
    for place, (name, decide) in enumerate(players.items()):
        before = place * config.episodes
        found[name] = play(
            make,
            decide,
            seeds,
            told=lambda done, before=before: progress.update(  # type: ignore[misc]
                before + done, len(players) * config.episodes, unit="episodes"
            ),
        )
    agent, chance, *rules = found.values()
    rows = pl.read_parquet(prepared / RAW_TEST)
    return Judged(
        rows=config.episodes,
        wrong=0,
        metrics=metrics(agent, chance, rules[0] if rules else None, environment.reward_threshold),
        slices=(),
        details={"returns": {name: tuple(episodes.returns.tolist()) for name, episodes in found.items()}},
        latency=speed.measure(predictor, rows, requests=config.latency_requests, batch=config.throughput_batch),
        table=pl.concat(_table(name, seeds, episodes) for name, episodes in found.items()),
    )


def metrics(agent: Episodes, chance: Episodes, rule: Episodes | None, threshold: float | None) -> dict[str, float]:
    """Figures of the agent's episodes beside those of chance and a rule. A success is what the environment calls one,
    or else a return of at least `threshold`; where there is neither, there is no rate. `normalizedReward` is 0 for
    chance and 1 at the threshold."""
    mean, by_luck = float(agent.returns.mean()), float(chance.returns.mean())
    found = {
        "meanReward": mean,
        "stdReward": float(agent.returns.std(ddof=1)) if len(agent.returns) > 1 else 0.0,
        "worstReward": float(agent.returns.min()),
        "meanLength": float(agent.lengths.mean()),
        "randomReward": by_luck,
        "gainOverRandom": mean - by_luck,
    }
    if rule is not None:
        by_rule_of_thumb = float(rule.returns.mean())
        found |= {"baselineReward": by_rule_of_thumb, "gainOverBaseline": mean - by_rule_of_thumb}
    told = [success for success in agent.successes if success is not None]
    if told:
        found["successRate"] = float(np.mean(told))
    elif threshold is not None:
        found["successRate"] = float(np.mean(agent.returns >= threshold))
    if threshold is not None and threshold != by_luck:
        found["normalizedReward"] = (mean - by_luck) / (threshold - by_luck)
    return found


def _act(predictor: Predictor, observations: Floats) -> Any:
    actions = predictor.run({OBSERVATION: observations})[ACTION]
    if not np.isfinite(actions).all():
        raise StageError(
            Reason.TRAINING_DIVERGED,
            "the policy's actions are no finite numbers",
            cure="train with a lower train.reinforcement.learningRate",
        )
    return actions


def _table(name: str, seeds: list[int], episodes: Episodes) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "player": [name] * len(seeds),
            "episode": range(len(seeds)),
            "seed": seeds,
            "return": episodes.returns,
            "length": episodes.lengths,
        }
    )
