"""Fine-tuning an encoder that lies in a folder."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from runwright_components.contract.config import ModelConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.models import Shape, build, export_onnx
from runwright_components.models.encoders import empty_encoder, encoder_settings
from runwright_components.models.pretrained import Pretrained, PretrainedText

TEXT = Shape(task="classification", modality="text", classes=3, vocabulary=60, max_tokens=32)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import BertConfig, BertModel

    folder: Path = tmp_path_factory.mktemp("encoder") / "bert"
    config = BertConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    return folder


def config(folder: Path, *, freeze: bool = False) -> ModelConfig:
    return ModelConfig(name="pretrained", pretrained=folder.name, freeze=freeze)


def fine_tuned(folder: Path) -> Pretrained:
    module = build(config(folder), TEXT, base=folder.parent)
    assert isinstance(module, Pretrained)
    torch.nn.init.normal_(module.head.linear.weight)
    return module.eval()


def test_graph_gives_the_encoders_output(encoder: Path, tmp_path: Path) -> None:
    module = fine_tuned(encoder)
    export_onnx(module, TEXT, tmp_path / "model.onnx")
    assert str(encoder.parent).encode() not in (tmp_path / "model.onnx").read_bytes()
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for batch, length in ((1, 1), (3, 7), (2, 32)):
        ids = torch.randint(0, 60, (batch, length))
        mask = torch.ones_like(ids)
        mask[0, (length + 1) // 2 :] = 0
        with torch.no_grad():
            expected = module(input_ids=ids, attention_mask=mask).numpy()
        (actual,) = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
        np.testing.assert_allclose(actual, expected, atol=1e-4)


def test_encoder_is_rebuilt_from_its_settings_without_its_folder(encoder: Path) -> None:
    module = fine_tuned(encoder)
    settings = json.loads(json.dumps(encoder_settings(module.encoder)))
    assert str(encoder.parent) not in json.dumps(settings)
    again = PretrainedText(empty_encoder(settings), config(encoder), TEXT)
    again.load_state_dict(module.state_dict())
    ids = torch.randint(0, 60, (2, 5))
    with torch.no_grad():
        expected = module(input_ids=ids, attention_mask=torch.ones_like(ids))
        assert torch.equal(again.eval()(input_ids=ids, attention_mask=torch.ones_like(ids)), expected)


def test_a_frozen_encoder_does_not_learn_and_has_no_dropout(encoder: Path) -> None:
    module = build(config(encoder, freeze=True), TEXT, base=encoder.parent).train()
    assert isinstance(module, Pretrained)
    assert not module.encoder.training
    assert module.head.training
    learning = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
    assert learning == ["head.linear.weight", "head.linear.bias"]


def test_pickled_weights_are_refused_with_the_conversion(encoder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(encoder, tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(StageError, match=r"pytorch_model\.bin holds pickled weights") as caught:
        build(config(folder), TEXT, base=tmp_path)
    assert caught.value.reason is Reason.UNSUPPORTED
    assert "safe_serialization=True" in caught.value.cure


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_an_incomplete_folder_is_refused(encoder: Path, tmp_path: Path, missing: str) -> None:
    folder = shutil.copytree(encoder, tmp_path / "incomplete")
    (folder / missing).unlink()
    with pytest.raises(StageError) as caught:
        build(config(folder), TEXT, base=tmp_path)
    assert caught.value.reason is Reason.SOURCE_NOT_FOUND
    assert caught.value.where == str(folder)


def test_truncated_weights_are_refused(encoder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(encoder, tmp_path / "truncated")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(StageError) as caught:
        build(config(folder), TEXT, base=tmp_path)
    assert caught.value.reason is Reason.DATA_UNREADABLE


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (Shape(task="classification", modality="text", classes=3, vocabulary=61, max_tokens=32), "61"),
        (Shape(task="classification", modality="text", classes=3, vocabulary=60, max_tokens=65), "65"),
    ],
)
def test_an_encoder_too_small_for_the_text_is_refused(encoder: Path, shape: Shape, message: str) -> None:
    with pytest.raises(StageError, match=message) as caught:
        build(config(encoder), shape, base=encoder.parent)
    assert caught.value.where == "train.model.pretrained"
