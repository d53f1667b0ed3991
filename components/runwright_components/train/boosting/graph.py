"""A forest as an ONNX graph with the inputs and outputs that networks have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from runwright_components.contract.artifacts import Tensor
from runwright_components.contract.config import TaskKind
from runwright_components.contract.files import write_bytes
from runwright_components.train.boosting.forest import Forest, Leaf, Node
from runwright_components.train.boosting.table import Columns

OPSET, ML_OPSET, IR_VERSION = 18, 5, 10
_LEQ, _LT, _MEMBER = 0, 1, 6  # modes of a node of ai.onnx.ml.TreeEnsemble


def export_forest(forest: Forest, columns: Columns, task: TaskKind, path: Path) -> tuple[Tensor, ...]:
    """Write the forest to `path` and return the tensors of the graph.

    `numeric` float32 [N, F] and `categorical` int64 [N, C] (each only where there are such columns) to `logits`
    [N, K] or `value` [N]. For two classes the margin m becomes the logits (0, m), whose softmax is its sigmoid.
    """
    inputs = []
    if columns.numeric:
        inputs.append(helper.make_tensor_value_info("numeric", TensorProto.FLOAT, ["batch", columns.numeric]))
    if columns.sizes:
        inputs.append(helper.make_tensor_value_info("categorical", TensorProto.INT64, ["batch", len(columns.sizes)]))
    classes = max(2, forest.outputs)
    name, sizes = ("value", []) if task == "regression" else ("logits", [classes])
    nodes, constants = _body(forest, columns, task)
    graph = helper.make_graph(
        nodes,
        "forest",
        inputs,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *sizes])],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="runwright")
    onnx.checker.check_model(model, full_check=True)
    write_bytes(path, model.SerializeToString(deterministic=True))
    return tuple(_declared(value) for value in [*graph.input, *graph.output])


def _declared(value: Any) -> Tensor:
    kind = value.type.tensor_type
    sizes = tuple(size.dim_value if size.HasField("dim_value") else None for size in kind.shape.dim)
    return Tensor(name=value.name, dtype=helper.tensor_dtype_to_np_dtype(kind.elem_type).name, shape=sizes)


def _body(forest: Forest, columns: Columns, task: TaskKind) -> tuple[list[Any], dict[str, Any]]:
    nodes, constants, matrix = [], {"base": np.array([forest.base], dtype=np.float32)}, "numeric"
    if columns.sizes:
        nodes.append(helper.make_node("Cast", ["categorical"], ["codes"], to=TensorProto.FLOAT))
        matrix = "codes"
    if columns.sizes and columns.numeric:
        nodes.append(helper.make_node("Concat", ["numeric", "codes"], ["matrix"], axis=1))
        matrix = "matrix"
    nodes.append(_ensemble(forest, matrix, "sums"))
    if task == "regression":
        nodes.append(helper.make_node("Add", ["sums", "base"], ["margins"]))
        constants["flat"] = np.array([-1], dtype=np.int64)
        nodes.append(helper.make_node("Reshape", ["margins", "flat"], ["value"]))
    elif forest.outputs == 1:
        nodes.append(helper.make_node("Add", ["sums", "base"], ["margins"]))
        constants["second"] = np.array([[0.0, 1.0]], dtype=np.float32)
        nodes.append(helper.make_node("Mul", ["margins", "second"], ["logits"]))
    else:
        nodes.append(helper.make_node("Add", ["sums", "base"], ["logits"]))
    return nodes, constants


class _Arrays:
    """The attributes of a TreeEnsemble while its trees are added."""

    def __init__(self, *, strict: bool) -> None:
        self.mode = _LT if strict else _LEQ
        self.roots: list[int] = []
        self.features: list[int] = []
        self.modes: list[int] = []
        self.splits: list[float] = []
        self.children: dict[bool, list[int]] = {True: [], False: []}
        self.to_leaf: dict[bool, list[int]] = {True: [], False: []}
        self.members: list[float] = []
        self.leaf_outputs: list[int] = []
        self.leaf_values: list[float] = []

    def add(self, tree: list[Node | Leaf], output: int) -> None:
        first = len(self.features)
        self.roots.append(first)
        if isinstance(tree[0], Leaf):  # a tree must begin with a test: one whose answers are the same
            tree = [Node(0, yes=1, no=1), tree[0]]
        tests = [place for place, node in enumerate(tree) if isinstance(node, Node)]
        ends = [place for place, node in enumerate(tree) if isinstance(node, Leaf)]
        test_at = {place: first + number for number, place in enumerate(tests)}
        leaf_at = {place: len(self.leaf_values) + number for number, place in enumerate(ends)}
        for node in tree:
            if isinstance(node, Leaf):
                self.leaf_outputs.append(output)
                self.leaf_values.append(node.value)
                continue
            self.features.append(node.feature)
            self.modes.append(self.mode if node.members is None else _MEMBER)
            self.splits.append(node.threshold)
            if node.members is not None:
                self.members += [*map(float, node.members), float("nan")]  # NaN ends a set
            for answer, child in ((True, node.yes), (False, node.no)):
                self.to_leaf[answer].append(int(child in leaf_at))
                self.children[answer].append(leaf_at[child] if child in leaf_at else test_at[child])


def _ensemble(forest: Forest, matrix: str, output: str) -> Any:
    arrays = _Arrays(strict=forest.strict)
    for number, tree in enumerate(forest.trees):
        arrays.add(tree, number % forest.outputs)

    def floats(name: str, values: list[float]) -> Any:
        return numpy_helper.from_array(np.array(values, dtype=np.float32), name)

    sets = {"membership_values": floats("membership_values", arrays.members)} if arrays.members else {}
    return helper.make_node(
        "TreeEnsemble",
        [matrix],
        [output],
        domain="ai.onnx.ml",
        n_targets=forest.outputs,
        aggregate_function=1,  # sum
        post_transform=0,  # none
        tree_roots=arrays.roots,
        nodes_featureids=arrays.features,
        nodes_modes=numpy_helper.from_array(np.array(arrays.modes, dtype=np.uint8), "nodes_modes"),
        nodes_splits=floats("nodes_splits", arrays.splits),
        nodes_truenodeids=arrays.children[True],
        nodes_falsenodeids=arrays.children[False],
        nodes_trueleafs=arrays.to_leaf[True],
        nodes_falseleafs=arrays.to_leaf[False],
        leaf_targetids=arrays.leaf_outputs,
        leaf_weights=floats("leaf_weights", arrays.leaf_values),
        **sets,
    )
