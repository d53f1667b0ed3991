"""The model families, what they must fit, and the ONNX graph of one.

Importing this package imports torch; each family, onnx and transformers are imported when they are needed.
"""

from runwright_components.models.build import ENCODER, build, load_model
from runwright_components.models.onnx_export import OPSET, example_inputs, export_onnx
from runwright_components.models.shape import Shape, make_shape, shape_of
from runwright_components.models.weights import save_tensors, untied

__all__ = [
    "ENCODER",
    "OPSET",
    "Shape",
    "build",
    "example_inputs",
    "export_onnx",
    "load_model",
    "make_shape",
    "save_tensors",
    "shape_of",
    "untied",
]
