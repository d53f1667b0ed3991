"""Hugging Face's Trainer on a small encoder of its own making; checkpoints go where they outlive a restart."""

import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForSequenceClassification, BertConfig, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_utils import get_last_checkpoint
from transformers.utils.logging import disable_progress_bar

data, model = Path(os.environ["RUNWRIGHT_DATA"]), Path(os.environ["RUNWRIGHT_MODEL"])
checkpoints = os.environ["RUNWRIGHT_CHECKPOINTS"]
config = json.loads(Path(os.environ["RUNWRIGHT_CONFIG"]).read_text())
schema = json.loads((data / "schema.json").read_text())


def load(split: str) -> list[dict]:
    """A row an example: the tokens, and the number of the language."""
    frame = pl.read_parquet(data / f"{split}.parquet")
    return [{"input_ids": ids, "labels": label} for ids, label in frame.select("input_ids", "target").iter_rows()]


def collate(rows: list[dict]) -> dict[str, Tensor]:
    """Rows of one length, and the mask that tells tokens from filling."""
    tokens = [torch.tensor(row["input_ids"]) for row in rows]
    return {
        "input_ids": pad_sequence(tokens, batch_first=True, padding_value=schema["pad"]),
        "attention_mask": pad_sequence([torch.ones_like(one) for one in tokens], batch_first=True),
        "labels": torch.tensor([row["labels"] for row in rows]),
    }


class Told(TrainerCallback):
    """Appends what the Trainer logs to RUNWRIGHT_METRICS."""

    def on_evaluate(self, _args: object, state: object, _control: object, metrics: dict, **_: object) -> None:
        losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
        line = {
            "epoch": round(state.epoch),
            "step": state.global_step,
            "total": state.max_steps,
            "train_loss": losses[-1],
            "validation_loss": metrics["eval_loss"],
            "validation_metric": metrics["eval_accuracy"],
        }
        with Path(os.environ["RUNWRIGHT_METRICS"]).open("a") as file:
            file.write(json.dumps(line) + "\n")


class Graph(nn.Module):
    """What is exported: tensors in, logits out."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits [N, languages]."""
        return self.encoder(input_ids=input_ids, attention_mask=attention_mask).logits


disable_progress_bar()
torch.manual_seed(config["seed"])
encoder = AutoModelForSequenceClassification.from_config(
    BertConfig(
        vocab_size=schema["vocabulary"],
        pad_token_id=schema["pad"],
        hidden_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=192,
        max_position_embeddings=schema["max_tokens"],
        num_labels=len(schema["labels"]),
    ),
    attn_implementation="eager",
)
trainer = Trainer(
    encoder,
    TrainingArguments(
        checkpoints,
        num_train_epochs=config["epochs"],
        per_device_train_batch_size=config["batchSize"],
        per_device_eval_batch_size=128,
        learning_rate=config["learningRate"],
        weight_decay=config["weightDecay"],
        warmup_steps=config["warmupSteps"],
        lr_scheduler_type="cosine",
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=2,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        report_to=[],
        seed=config["seed"],
    ),
    train_dataset=load("train"),
    eval_dataset=load("validation"),
    data_collator=collate,
    compute_metrics=lambda given: {"accuracy": float((given.predictions.argmax(1) == given.label_ids).mean())},
    callbacks=[Told()],
)
trainer.remove_callback(PrinterCallback)  # RUNWRIGHT_METRICS has the same
trainer.train(resume_from_checkpoint=get_last_checkpoint(checkpoints))

graph, batch = Graph(encoder.cpu().eval()).eval(), collate(load("validation")[:32])
inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=schema["max_tokens"])}
torch.onnx.export(
    graph,
    kwargs=inputs,
    f=model / "model.onnx",
    input_names=list(inputs),
    output_names=["logits"],
    dynamic_shapes=dict.fromkeys(inputs, free),
    dynamo=True,
    external_data=False,
    verbose=False,
)
with torch.inference_mode():
    np.save(model / "outputs.npy", graph(**inputs).numpy())  # to compare the graph with
