"""Fine-tuning an encoder of images: transformers and convolutional networks, as transformers saves them."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from runwright_components.contract.config import ModelConfig, UnfreezeConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.models import Shape, build, export_onnx
from runwright_components.models.encoders import empty_encoder, encoder_settings
from runwright_components.models.pretrained import PretrainedImage

SHAPE = Shape(
    task="classification", modality="image", classes=3, image=(3, 32, 32), mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1)
)
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def _save(folder: Path, kind: str) -> Path:
    import transformers

    torch.manual_seed(0)
    made: dict[str, tuple[str, dict[str, Any]]] = {
        "vit": ("ViT", {**SMALL, "image_size": 32, "patch_size": 8}),
        "vit-48": ("ViT", {**SMALL, "image_size": 48, "patch_size": 8}),
        "resnet": ("ResNet", {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}),
        "convnext": ("ConvNext", {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}),
        "bert": ("Bert", {**SMALL, "vocab_size": 20}),
    }
    name, settings = made[kind]
    model = getattr(transformers, f"{name}Model")(getattr(transformers, f"{name}Config")(**settings))
    model.save_pretrained(folder / kind)
    return folder / kind


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders")
    for kind in ("vit", "vit-48", "resnet", "convnext", "bert"):
        _save(folder, kind)
    return folder


def tuned(folder: Path, kind: str, **changes: Any) -> PretrainedImage:
    module = build(ModelConfig(name="pretrained", pretrained=kind, **changes), SHAPE, base=folder)
    assert isinstance(module, PretrainedImage)
    torch.nn.init.normal_(module.head.linear.weight)
    return module.eval()


@pytest.mark.parametrize("kind", ["vit", "vit-48", "resnet", "convnext"])
def test_graph_gives_the_encoders_output_for_any_batch(encoders: Path, tmp_path: Path, kind: str) -> None:
    module = tuned(encoders, kind)
    export_onnx(module, SHAPE, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for batch in (1, 3):
        pixels = torch.rand(batch, 3, 32, 32)
        with torch.no_grad():
            expected = module(pixels=pixels).numpy()
        (actual,) = session.run(None, {"pixels": pixels.numpy()})
        np.testing.assert_allclose(actual, expected, atol=1e-4)


def test_features_are_those_of_the_pretrained_model(encoders: Path) -> None:
    from transformers import ViTModel

    module = tuned(encoders, "vit")
    pixels = torch.rand(2, 3, 32, 32)
    mean, std = torch.tensor(SHAPE.mean).view(3, 1, 1), torch.tensor(SHAPE.std).view(3, 1, 1)
    with torch.no_grad():
        states = ViTModel.from_pretrained(encoders / "vit")((pixels - mean) / std).last_hidden_state
        assert torch.allclose(module.head(states[:, 0]), module(pixels=pixels), atol=1e-5)


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_encoder_is_rebuilt_from_its_settings_without_its_folder(encoders: Path, kind: str) -> None:
    module = tuned(encoders, kind)
    settings = json.loads(json.dumps(encoder_settings(module.encoder)))
    again = PretrainedImage(empty_encoder(settings), ModelConfig(name="pretrained", pretrained=kind), SHAPE)
    again.load_state_dict(module.state_dict())
    pixels = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(again.eval()(pixels=pixels), module(pixels=pixels))


@pytest.mark.parametrize(
    ("unfreeze", "awake"),
    [
        (UnfreezeConfig(after=2), {0: 0, 1: 0, 2: 4, 9: 4}),
        (UnfreezeConfig(after=1, every=2), {0: 0, 1: 1, 2: 1, 3: 2, 5: 3, 7: 4, 50: 4}),
    ],
)
def test_layers_wake_up_from_the_top(encoders: Path, unfreeze: UnfreezeConfig, awake: dict[int, int]) -> None:
    module = tuned(encoders, "vit", freeze=True, unfreeze=unfreeze).train()
    depth = {"embeddings": 1, "layers.0": 2, "layers.1": 3, "layernorm": 3}
    for epoch, layers in awake.items():
        module.thaw(epoch)
        assert module.encoder.training == (layers > 0)
        lowest = 4 - layers if layers < 4 else 1
        for name, parameter in module.encoder.named_parameters():
            place = next(number for start, number in depth.items() if name.startswith(start))
            assert parameter.requires_grad == (layers > 0 and place >= lowest), (epoch, name)


def test_an_encoder_of_texts_is_refused_for_images(encoders: Path) -> None:
    with pytest.raises(StageError, match=r"\(bert\) does not read images") as caught:
        tuned(encoders, "bert")
    assert caught.value.reason is Reason.INVALID_CONFIG
    assert "vision_model" in caught.value.cure


def test_weights_of_another_architecture_are_refused(encoders: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(encoders / "vit", tmp_path / "mixed")
    shutil.copy(encoders / "resnet" / "model.safetensors", folder)
    with pytest.raises(StageError, match="weights are not in the file, such as") as caught:
        tuned(tmp_path, "mixed")
    assert caught.value.reason is Reason.DATA_UNREADABLE


def test_pickled_weights_are_refused_with_the_conversion(encoders: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(encoders / "resnet", tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(StageError, match=r"pytorch_model\.bin holds pickled weights") as caught:
        tuned(tmp_path, "pickled")
    assert "safe_serialization=True" in caught.value.cure


def test_images_that_the_encoder_cannot_take_are_refused_with_its_sizes(encoders: Path) -> None:
    grey = Shape(task="classification", modality="image", classes=3, image=(1, 32, 32), mean=(0.5,), std=(0.2,))
    with pytest.raises(StageError, match="does not take images of 1 x 32 x 32") as caught:
        build(ModelConfig(name="pretrained", pretrained="vit"), grey, base=encoders)
    assert caught.value.cure == "set prepare.image: {channels: 3, height: 32, width: 32}"


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="does not exist") as caught:
        build(ModelConfig(name="pretrained", pretrained="nowhere"), SHAPE, base=tmp_path)
    assert caught.value.reason is Reason.SOURCE_NOT_FOUND
