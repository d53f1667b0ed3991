"""A causal language model on a GPU against the usual ways to train it: `python tests/bench/bench_gpu.py`.

The same decoder, from the same weights, learns the same rows of random tokens in bf16 by our loop, by the Hugging Face
Trainer and by a plain accelerate loop. Rounds of the three alternate; the median of the rounds' ratios counts. Told are
tokens/s, the peak memory and MFU: the model's FLOPs, counted on shapes, over the time and the GPU's peak. Prints JSON;
ends with 1 where a target is missed (40 % MFU; the tokens/s of both others).

`--tiny` runs everything at a size that a CPU trains in seconds, in fp32: it checks the program and measures nothing.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from transformers import Trainer as HuggingFaceTrainer
from transformers import TrainingArguments

from runwright_components.contract.config import DistributedConfig, ModelConfig, TrainConfig
from runwright_components.contract.progress import silent
from runwright_components.models.decoder import Decoder, settings_for
from runwright_components.train import parallel
from runwright_components.train.checkpoints import CheckpointStore
from runwright_components.train.data import TensorSplit
from runwright_components.train.estimate import estimate
from runwright_components.train.gpus import peak_flops
from runwright_components.train.loop import Trainer
from runwright_components.train.objective import Objective, Validation
from runwright_components.train.optim import make_optimizer
from runwright_components.train.ranks import Ranks, alone
from runwright_components.train.signals import StopSignal
from runwright_components.train.state import TrainingState

LEAST_MFU = 0.4
RATE = 1e-4


@dataclass(frozen=True)
class Case:
    """A decoder, and the rows of a step."""

    model: ModelConfig
    vocabulary: int
    batch: int
    steps: int  # a round

    @property
    def tokens(self) -> int:
        return self.batch * self.model.context * self.steps


def decoder(width: int, depth: int, heads: int, context: int) -> ModelConfig:
    return ModelConfig(name="decoder", width=width, depth=depth, heads=heads, context=context, dropout=0.0)


CASES = {
    "124M": Case(decoder(768, 12, 12, 1024), vocabulary=50_304, batch=16, steps=30),
    "350M": Case(decoder(1024, 24, 16, 1024), vocabulary=50_304, batch=8, steps=30),
    "1B": Case(decoder(2048, 18, 16, 2048), vocabulary=50_304, batch=4, steps=20),
}
TINY = {"tiny": Case(decoder(32, 2, 2, 16), vocabulary=64, batch=4, steps=5)}


class NextToken(Objective):
    """Mean cross entropy of `logits` [N, T, V] and the next tokens [N, T]."""

    def __init__(self) -> None:
        super().__init__("generation")

    def loss(self, output: Tensor, target: Tensor, blend: object = None) -> Tensor:
        return next_token(output, target)

    def sums(self, output: Tensor, target: Tensor) -> Tensor:
        return torch.zeros(5, dtype=torch.float64, device=target.device)

    def summarize(self, sums: Tensor) -> Validation:
        return Validation(0.0, 0.0)


def next_token(logits: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(logits.float().flatten(0, 1), target.flatten())


class WithLoss(nn.Module):
    """What the Hugging Face Trainer calls."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, input_ids: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"loss": next_token(self.module(input_ids), labels)}


class Rows(Dataset[dict[str, Tensor]]):
    def __init__(self, tokens: Tensor) -> None:
        self.tokens = tokens

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        return {"input_ids": self.tokens[row, :-1], "labels": self.tokens[row, 1:]}


def fresh(case: Case) -> Decoder:
    torch.manual_seed(0)
    return Decoder(settings_for(case.model, vocabulary=case.vocabulary))


def wait(ranks: Ranks) -> None:
    if ranks.device.type == "cuda":
        torch.cuda.synchronize()


# -------------------------------------------------------- the three sides: each returns the seconds of a round


def ours(case: Case, tokens: Tensor, ranks: Ranks, compiled: bool, folder: Path) -> Callable[[], float]:
    module = fresh(case)
    layout = parallel.Layout("single", compiled=compiled)
    precision = "bf16" if ranks.device.type == "cuda" else "fp32"
    forward = parallel.distribute(module, layout, ranks, precision)

    def made(steps: int) -> Trainer:
        config = TrainConfig(
            task="generation",
            modality="text",
            model=case.model,
            batch_size=case.batch,
            epochs=10_000,
            max_steps=steps,
            learning_rate=RATE,
            schedule="constant",
            early_stopping=None,
            checkpoint_every_steps=2**30,
            distributed=DistributedConfig(),
        )
        split = TensorSplit({"input_ids": tokens[:, :-1]}, tokens[:, 1:], ranks.device)
        state = TrainingState(module, make_optimizer(config, module), None, ranks)
        return Trainer(
            config,
            state=state,
            forward=forward,
            training=split,
            validation=TensorSplit({"input_ids": tokens[:1, :-1]}, tokens[:1, 1:], ranks.device),
            objective=NextToken(),
            precision=precision,
            store=CheckpointStore(folder, keep=1, warn=print),
            recipe="",
            stop=StopSignal(),
            progress=silent(),
        )

    def round_() -> float:
        trainer = made(case.steps)
        order = trainer.plan.order(0)
        trainer.forward.train()
        wait(ranks)
        start = time.perf_counter()
        for _ in range(case.steps):
            trainer._step(order)
            trainer.state.cursor.batch %= trainer.plan.steps
        wait(ranks)
        return time.perf_counter() - start

    return round_


def hugging_face(case: Case, tokens: Tensor, ranks: Ranks, compiled: bool, folder: Path) -> Callable[[], float]:
    on_gpu = ranks.device.type == "cuda"
    settings = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=case.batch,
        max_steps=case.steps,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        bf16=on_gpu,
        torch_compile=compiled,
        optim="adamw_torch_fused",
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
    )
    model = WithLoss(fresh(case))

    def round_() -> float:
        trainer = HuggingFaceTrainer(model=model, args=settings, train_dataset=Rows(tokens))
        wait(ranks)
        start = time.perf_counter()
        trainer.train()
        wait(ranks)
        return time.perf_counter() - start

    return round_


def plain_accelerate(case: Case, tokens: Tensor, ranks: Ranks, compiled: bool, _folder: Path) -> Callable[[], float]:
    on_gpu = ranks.device.type == "cuda"
    accelerator = Accelerator(mixed_precision="bf16" if on_gpu else "no", cpu=not on_gpu)
    module: Any = fresh(case)
    optimizer = torch.optim.AdamW(module.parameters(), lr=RATE, fused=True)
    module, optimizer, loader = accelerator.prepare(
        torch.compile(module) if compiled else module,
        optimizer,
        DataLoader(Rows(tokens), batch_size=case.batch, shuffle=True, pin_memory=on_gpu),
    )

    def round_() -> float:
        wait(ranks)
        start = time.perf_counter()
        left = case.steps
        while left:
            for rows in loader:
                loss = next_token(module(rows["input_ids"]), rows["labels"])
                accelerator.backward(loss)
                accelerator.clip_grad_norm_(module.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
                left -= 1
                if not left:
                    break
        wait(ranks)
        return time.perf_counter() - start

    return round_


SIDES = {"runwright": ours, "hugging_face_trainer": hugging_face, "accelerate_loop": plain_accelerate}


def measure(case: Case, ranks: Ranks, rounds: int, compiled: bool) -> dict[str, Any]:
    tokens = torch.randint(0, case.vocabulary, (case.batch * case.steps, case.model.context + 1))
    sample = {"input_ids": tokens[: case.batch, :-1]}
    module = fresh(case)
    costs = estimate(module, sample)
    assert costs is not None
    parameters = sum(weight.numel() for weight in module.parameters())
    on_gpu = ranks.device.type == "cuda"
    peak = peak_flops(torch.cuda.get_device_name(ranks.device), "bf16") if on_gpu else None
    with tempfile.TemporaryDirectory() as name:
        sides = {side: make(case, tokens, ranks, compiled, Path(name)) for side, make in SIDES.items()}
        for side in sides.values():
            side()  # compilation, autotuning and allocation
        seconds = [{side: run() for side, run in sides.items()} for _ in range(rounds)]
    mine = statistics.median(one["runwright"] for one in seconds)
    figures: dict[str, Any] = {"parameters": parameters, "batch": case.batch, "context": case.model.context}
    figures["tokens_per_second"] = {
        side: round(case.tokens / statistics.median(one[side] for one in seconds)) for side in sides
    }
    figures["ratio"] = {
        side: round(statistics.median(one[side] / one["runwright"] for one in seconds), 4)
        for side in sides
        if side != "runwright"
    }
    figures["mfu"] = round(costs.flops * case.steps / (mine * peak), 4) if peak else None
    figures["peak_gpu_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2) if on_gpu else None
    return figures


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--cases", nargs="+", choices=sorted(CASES), default=sorted(CASES))
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--compile", action="store_true", help="all three sides by torch.compile")
    arguments.add_argument("--tiny", action="store_true", help="check the program on a CPU; measures nothing")
    options = arguments.parse_args()
    if not options.tiny and not torch.cuda.is_available():
        print("there is no GPU: nothing is measured (--tiny checks the program)", file=sys.stderr)
        return 0
    config = TrainConfig(task="generation", modality="text", model=CASES["124M"].model, device="auto")
    ranks = Ranks(0, 1, torch.device("cpu")) if options.tiny else alone(config)
    cases = TINY if options.tiny else {name: CASES[name] for name in options.cases}
    found = {name: measure(case, ranks, options.rounds, options.compile) for name, case in cases.items()}
    device = "cpu" if options.tiny else torch.cuda.get_device_name(ranks.device)
    print(json.dumps({"torch": torch.__version__, "device": device, "compiled": options.compile, **found}, indent=2))
    if options.tiny:
        return 0
    behind = any(ratio < 1 for figures in found.values() for ratio in figures["ratio"].values())
    idle = any(figures["mfu"] is not None and figures["mfu"] < LEAST_MFU for figures in found.values())
    return int(behind or idle)


if __name__ == "__main__":
    sys.exit(main())
