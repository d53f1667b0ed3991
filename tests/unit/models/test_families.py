"""Every family: what goes in and comes out, and the ONNX graph that serves it."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from runwright_components.contract.config import ModelConfig
from runwright_components.contract.outcome import Reason, StageError
from runwright_components.models import OPSET, Shape, build, example_inputs, export_onnx
from runwright_components.models.mlp import embedding_width

TABLE = Shape(task="classification", modality="tabular", classes=3, numeric=4, categories=(3, 7))
NUMBERS = Shape(task="regression", modality="tabular", classes=1, numeric=4)
CODES = Shape(task="classification", modality="tabular", classes=2, categories=(9,))
COLOUR = Shape(
    task="classification", modality="image", classes=3, image=(3, 16, 16), mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1)
)
GREY = Shape(task="classification", modality="image", classes=2, image=(1, 9, 7), mean=(0.5,), std=(0.2,))
TEXT = Shape(task="classification", modality="text", classes=3, vocabulary=50, max_tokens=16)

CASES = [
    pytest.param(ModelConfig(name="mlp", hidden=(16, 16)), TABLE, id="mlp"),
    pytest.param(ModelConfig(name="mlp", hidden=(8,), normalization="layer"), NUMBERS, id="mlp-regression"),
    pytest.param(ModelConfig(name="mlp", hidden=(8,), normalization="none"), CODES, id="mlp-codes"),
    pytest.param(ModelConfig(name="transformer", width=16, heads=2), TABLE, id="table-transformer"),
    pytest.param(ModelConfig(name="transformer", width=9, heads=3, activation="gelu"), NUMBERS, id="table-numbers"),
    pytest.param(ModelConfig(name="transformer", width=8, heads=4, depth=1), CODES, id="table-codes"),
    pytest.param(ModelConfig(name="cnn", width=8), COLOUR, id="cnn"),
    pytest.param(ModelConfig(name="cnn", width=4, depth=4, normalization="layer"), GREY, id="cnn-small-image"),
    pytest.param(ModelConfig(name="resnet", width=8, depth=1), GREY, id="resnet"),
    pytest.param(ModelConfig(name="vit", width=16, heads=2), COLOUR, id="vit"),
    pytest.param(ModelConfig(name="vit", width=10, heads=2, patch=1, depth=1), GREY, id="vit-uneven"),
    pytest.param(ModelConfig(name="textcnn", width=8), TEXT, id="textcnn"),
    pytest.param(ModelConfig(name="transformer", width=16, heads=2, depth=1), TEXT, id="transformer"),
]


def random_inputs(shape: Shape, batch: int, length: int) -> dict[str, torch.Tensor]:
    inputs = example_inputs(shape, batch=batch, length=length)
    if "numeric" in inputs:
        inputs["numeric"].normal_()
    if "categorical" in inputs:
        inputs["categorical"] = torch.stack([torch.randint(0, size, (batch,)) for size in shape.categories], dim=1)
    if "pixels" in inputs:
        inputs["pixels"].uniform_()
    if "input_ids" in inputs:
        inputs["input_ids"].random_(0, shape.vocabulary)
        inputs["attention_mask"][0, (length + 1) // 2 :] = 0
    return inputs


def trained(config: ModelConfig, shape: Shape) -> torch.nn.Module:
    """A module with weights that all matter (fresh heads are zero)."""
    torch.manual_seed(0)
    module = build(config, shape)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return module.eval()


@pytest.mark.parametrize(("config", "shape"), CASES)
def test_graph_gives_the_modules_output_for_any_batch(config: ModelConfig, shape: Shape, tmp_path: Path) -> None:
    module = trained(config, shape)
    tensors = export_onnx(module, shape, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert {tensor.name for tensor in tensors} == {*example_inputs(shape), shape.output}
    assert all(tensor.shape[0] is None for tensor in tensors)
    for batch, length in ((1, 1), (5, 3), (2, 16)):
        inputs = random_inputs(shape, batch, length)
        with torch.no_grad():
            expected = module(**inputs).numpy()
        assert expected.shape == ((batch, shape.classes) if shape.output == "logits" else (batch,))
        (actual,) = session.run([shape.output], {name: tensor.numpy() for name, tensor in inputs.items()})
        np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_graph_is_the_same_file_for_the_same_weights_and_tells_nothing_of_the_machine(tmp_path: Path) -> None:
    module = trained(ModelConfig(name="mlp", hidden=(8,)), TABLE)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        export_onnx(module, TABLE, tmp_path / name / "model.onnx")
    content = (tmp_path / "first" / "model.onnx").read_bytes()
    assert content == (tmp_path / "second" / "model.onnx").read_bytes()
    for trace in (str(tmp_path), str(Path(__file__).parent), str(Path(torch.__file__).parent), ".py", "stack_trace"):
        assert trace.encode() not in content
    import onnx

    assert onnx.load(tmp_path / "first" / "model.onnx").opset_import[0].version == OPSET


def test_exporter_says_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    export_onnx(trained(ModelConfig(name="textcnn", width=4), TEXT), TEXT, tmp_path / "model.onnx")
    captured = capfd.readouterr()
    assert (captured.out, captured.err, list(recwarn)) == ("", "", [])


@pytest.mark.parametrize("name", ["textcnn", "transformer"])
def test_padding_does_not_change_a_text(name: str) -> None:
    module = trained(ModelConfig.model_validate({"name": name, "width": 16, "heads": 2}), TEXT)
    ids, mask = torch.randint(0, 50, (2, 5)), torch.ones(2, 5, dtype=torch.int64)
    longer = {
        "input_ids": torch.nn.functional.pad(ids, (0, 9)),
        "attention_mask": torch.nn.functional.pad(mask, (0, 9)),
    }
    with torch.no_grad():
        assert torch.allclose(module(input_ids=ids, attention_mask=mask), module(**longer), atol=1e-5)


@pytest.mark.parametrize("name", ["textcnn", "transformer"])
def test_an_empty_text_has_a_finite_output(name: str) -> None:
    module = trained(ModelConfig.model_validate({"name": name, "width": 16, "heads": 2}), TEXT)
    with torch.no_grad():
        output = module(input_ids=torch.zeros(1, 3, dtype=torch.int64), attention_mask=torch.zeros(1, 3).long())
    assert torch.isfinite(output).all()


def test_standardization_of_pixels_lies_inside_the_module() -> None:
    module = build(ModelConfig(name="cnn", width=4), COLOUR)
    state = module.state_dict()
    assert state["standardize.mean"].flatten().tolist() == pytest.approx(COLOUR.mean)
    assert state["standardize.std"].flatten().tolist() == pytest.approx(COLOUR.std)


def test_first_prediction_of_a_classifier_is_uniform() -> None:
    torch.manual_seed(0)
    module = build(ModelConfig(name="mlp"), TABLE).eval()
    with torch.no_grad():
        assert module(**random_inputs(TABLE, 4, 1)).abs().max() == 0


@pytest.mark.parametrize(("size", "width"), [(2, 2), (3, 3), (10, 6), (1000, 50)])
def test_embedding_width_grows_with_the_categories(size: int, width: int) -> None:
    assert embedding_width(size) == width


@pytest.mark.parametrize(
    ("config", "shape", "field"),
    [
        (ModelConfig(name="cnn"), TABLE, "name"),
        (ModelConfig(name="mlp"), TEXT, "name"),
        (ModelConfig(name="transformer", width=30, heads=4), TEXT, "width"),
        (ModelConfig(name="mlp", hidden=(8, 0)), TABLE, "hidden.1"),
        (ModelConfig(name="mlp", dropout=1.0), TABLE, "dropout"),
        (ModelConfig(name="pretrained"), TEXT, "pretrained"),
        (ModelConfig(name="vit", patch=4), GREY, "patch"),
        (ModelConfig(name="vit", width=30, heads=4), COLOUR, "width"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_with_the_field(config: ModelConfig, shape: Shape, field: str) -> None:
    with pytest.raises(StageError) as caught:
        build(config, shape)
    assert caught.value.reason is Reason.INVALID_CONFIG
    assert caught.value.where == f"train.model.{field}"
    assert caught.value.cure


def test_a_table_without_columns_is_refused() -> None:
    with pytest.raises(StageError, match="no input columns"):
        build(ModelConfig(name="mlp"), Shape(task="classification", modality="tabular", classes=2))
