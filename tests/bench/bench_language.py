"""Our decoder against a nanoGPT-like one: `python tests/bench/bench_language.py`.

Both learn the entries of `examples/jargon` with the same tokenizer, as many parameters, steps and tokens a step, by
AdamW with warm-up and cosine. The baseline is GPT-2's architecture (learned positions, LayerNorm, GELU, no biases) in a
plain loop over random windows; ours runs in the trainer. Bits per byte are of the same validation windows, for each
learning rate; trainings of the two alternate. `step` compares the trainer with a plain loop over our own decoder, in
alternating rounds. Times are of the training thread's processor, which another program's load disturbs least.
"""

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from runwright_api.loading import load_file
from runwright_components.collect import collect
from runwright_components.contract.config import TrainConfig
from runwright_components.contract.progress import Progress, file_sink, silent
from runwright_components.features.corpus import IDS
from runwright_components.models.decoder import Decoder, settings_for
from runwright_components.prepare import prepare
from runwright_components.train.checkpoints import CheckpointStore
from runwright_components.train.loop import Trainer
from runwright_components.train.optim import make_optimizer, rate_factor
from runwright_components.train.ranks import alone
from runwright_components.train.signals import StopSignal
from runwright_components.train.state import TrainingState
from runwright_components.train.tokens import TokenObjective, TokenSplit
from runwright_pipelines.lowering import lower

EXAMPLE = Path(__file__).parents[2] / "examples" / "jargon" / "run.yaml"
CPU = torch.device("cpu")


class Gpt(nn.Module):
    """GPT-2 (Radford et al. 2019) as nanoGPT writes it."""

    def __init__(self, vocabulary: int, width: int, depth: int, heads: int, context: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(GptBlock(width, heads) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width, bias=False), nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * depth) if name.endswith("out.weight") else 0.02)

    def forward(self, input_ids: Tensor) -> Tensor:
        states = self.tokens(input_ids) + self.places.weight[: input_ids.shape[1]]
        for block in self.blocks:
            states = block(states)
        out: Tensor = self.head(self.norm(states))
        return out


class GptBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.mixed, self.mixed_out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.inner, self.inner_out = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        rows, length, width = states.shape
        parts = self.mixed(self.first(states)).view(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(*parts.unbind(0), is_causal=True)
        states = states + self.mixed_out(attended.transpose(1, 2).reshape(rows, length, width))
        out: Tensor = states + self.inner_out(functional.gelu(self.inner(self.second(states))))
        return out


def prepared_example(folder: Path) -> tuple[TrainConfig, Path]:
    """The example's training configuration and its prepared data, made in `folder`."""
    configs = lower(load_file(EXAMPLE))
    base = {"base": str(EXAMPLE.parent)}
    collect(configs.collect.model_copy(update=base), out=folder / "raw", progress=silent())
    prepare(configs.prepare.model_copy(update=base), raw=folder / "raw", out=folder / "prepared", progress=silent())
    plain = {"early_stopping": None, "device": "cpu", "epochs": 10_000}
    return configs.train.model_copy(update=plain), folder / "prepared"


def ours(config: TrainConfig, prepared: Path, folder: Path) -> tuple[float, float, int]:
    """Bits per byte, seconds and parameters of a run of the real trainer."""
    torch.manual_seed(config.seed)
    vocabulary = json.loads((prepared / "manifest.json").read_text())["vocabulary"]
    module, ranks = Decoder(settings_for(config.model, vocabulary=vocabulary)), alone(config)
    training = TokenSplit(prepared, "train", CPU, phased=True, seed=config.seed)
    validation = TokenSplit(prepared, "validation", CPU)
    store = CheckpointStore(folder / "checkpoints", keep=1, warn=print)
    store.open(resume=False)
    trainer = Trainer(
        config,
        state=TrainingState(module, make_optimizer(config, module), None, ranks),
        forward=module,
        training=training,
        validation=validation,
        objective=TokenObjective(training, validation),
        precision="fp32",
        store=store,
        recipe="bench",
        stop=StopSignal(),
        progress=Progress("train", sink=file_sink(folder / "progress.jsonl")),
        clock=time.thread_time,
    )
    trainer.run()
    store.close()
    last = trainer.state.cursor.history[-1]
    seconds = sum(epoch.seconds for epoch in trainer.state.cursor.history)
    return last.validation_metric, seconds, sum(weight.numel() for weight in module.parameters())


def plain(module: nn.Module, config: TrainConfig, prepared: Path, *, decay: bool = True) -> float:
    """Train `module` by hand on random windows; returns seconds."""
    split = TokenSplit(prepared, "train", CPU, phased=True, seed=config.seed)
    assert config.max_steps is not None
    matrices = [weight for weight in module.parameters() if weight.ndim >= 2]
    rest = [weight for weight in module.parameters() if weight.ndim < 2]
    groups = [{"params": matrices, "weight_decay": config.weight_decay if decay else 0.0}, {"params": rest}]
    adamw = torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=0.0, fused=True)
    start = time.thread_time()
    for step in range(config.max_steps):
        rate = config.learning_rate * rate_factor(config.schedule, step, config.max_steps, config.warmup_steps)
        for group in adamw.param_groups:
            group["lr"] = rate
        inputs, target = split.take(torch.randint(len(split), (config.batch_size,)))
        functional.cross_entropy(module(**inputs).flatten(0, 1), target.flatten()).backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        adamw.step()
        adamw.zero_grad()
    return time.thread_time() - start


def bits_per_byte(module: nn.Module, prepared: Path) -> float:
    split = TokenSplit(prepared, "validation", CPU)
    objective = TokenObjective(split, split)
    with torch.inference_mode():
        batches = [split.take(rows) for rows in torch.arange(len(split)).split(32)]
        sums = [objective.sums(module.eval()(inputs[IDS]), target) for inputs, target in batches]
    return objective.summarize(torch.stack(sums).sum(dim=0)).metric


def gpt(config: TrainConfig, prepared: Path) -> tuple[float, float, int]:
    """Bits per byte, seconds and parameters of the baseline."""
    torch.manual_seed(config.seed)
    vocabulary = json.loads((prepared / "manifest.json").read_text())["vocabulary"]
    model = config.model
    module = Gpt(vocabulary, model.width, model.depth, model.heads, model.context)
    seconds = plain(module, config, prepared)
    return bits_per_byte(module, prepared), seconds, sum(weight.numel() for weight in module.parameters())


def quality(config: TrainConfig, prepared: Path, folder: Path, rates: list[float]) -> list[dict[str, float | str]]:
    """Both models at each learning rate, one after the other."""
    found: list[dict[str, float | str]] = []
    tokens = config.batch_size * config.model.context * (config.max_steps or 0)
    for number, rate in enumerate(rates):
        at = config.model_copy(update={"learning_rate": rate})
        runs: list[tuple[str, Callable[[], tuple[float, float, int]]]] = [
            ("ours", lambda at=at, number=number: ours(at, prepared, folder / f"{number}")),  # type: ignore[misc]
            ("nanoGPT-like", lambda at=at: gpt(at, prepared)),  # type: ignore[misc]
        ]
        for name, run in runs if number % 2 == 0 else runs[::-1]:
            bits, seconds, parameters = run()
            figures = {"bits_per_byte": round(bits, 4), "tokens_per_second": round(tokens / seconds)}
            found.append({"model": name, "learning_rate": rate, "parameters": parameters, **figures})
    return found


def step_ratio(config: TrainConfig, prepared: Path, folder: Path, *, rounds: int, steps: int) -> dict[str, float]:
    """Milliseconds a step of the trainer and of a plain loop over the same decoder, and the median of their ratios."""
    at = config.model_copy(update={"max_steps": steps, "schedule": "constant", "warmup_steps": 0})
    vocabulary = json.loads((prepared / "manifest.json").read_text())["vocabulary"]
    pairs = []
    for number in range(rounds + 1):  # the first one warms up
        mine = ours(at, prepared, folder / f"step-{number}")[1]
        other = plain(Decoder(settings_for(at.model, vocabulary=vocabulary)), at, prepared)
        pairs.append((mine, other))
    return {
        "ours_ms": round(statistics.median(mine for mine, _ in pairs[1:]) / steps * 1e3, 2),
        "plain_ms": round(statistics.median(other for _, other in pairs[1:]) / steps * 1e3, 2),
        "ratio": round(statistics.median(mine / other for mine, other in pairs[1:]), 4),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--steps", type=int, default=800)
    arguments.add_argument("--rates", type=float, nargs="+", default=[0.003, 0.01])
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--round-steps", type=int, default=40)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        config, prepared = prepared_example(Path(name))
        config = config.model_copy(update={"max_steps": options.steps})
        figures = {
            "step": step_ratio(config, prepared, Path(name), rounds=options.rounds, steps=options.round_steps),
            "quality": quality(config, prepared, Path(name), options.rates),
        }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
