"""Exports: metadata is removed, the bytes are compared with the model, and nothing of the process changes meanwhile."""

from __future__ import annotations

import importlib
import logging
import sys
import warnings

import numpy as np
import pytest

from hauberk.core.errors import InvalidInput
from hauberk.models._export import TOLERANCE, strip, verify
from hauberk.models.onnx_model import OnnxModel
from hauberk.models.spec import Spec

torch, onnx = pytest.importorskip("torch"), pytest.importorskip("onnx")

SPEC = Spec("image", (1, 4, 4), 3)


def proto(scale=1.0):
    """Return a linear model with names and traces in every place that can hold them."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32) * scale
    nodes = [
        helper.make_node("Flatten", ["input"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["scores"]),
    ]
    for node in nodes:
        node.doc_string = "/home/secret/train.py:3"
    graph = helper.make_graph(
        nodes,
        "secret graph",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 1, 4, 4])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(weights, "w")],
        doc_string="secret",
    )
    made = helper.make_model(
        graph, producer_name="secret", opset_imports=[helper.make_opsetid("", 20)], ir_version=9
    )
    made.doc_string = "secret"
    made.metadata_props.add(key="path", value="secret")
    return made


def test_no_name_and_no_trace_is_left():
    made = proto()
    strip(made)
    assert b"secret" not in made.SerializeToString()
    onnx.checker.check_model(made)


def test_an_export_that_differs_is_refused():
    model = OnnxModel(proto().SerializeToString(), SPEC)
    verify(proto().SerializeToString(), model, SPEC)
    verify(proto(1 + 0.1 * TOLERANCE).SerializeToString(), model, SPEC)
    with pytest.raises(InvalidInput, match="differs from the model"):
        verify(proto(1.1).SerializeToString(), model, SPEC)


SEEN = []


class Watching(torch.nn.Module):
    """Notes, whenever it is asked, what a silencing exporter would have changed."""

    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3), torch.nn.Dropout(0.5))

    def forward(self, x):
        SEEN.append(process())
        return self.inner(x)


def process():
    loggers = {name: logging.getLogger(name).level for name in ("", "torch.onnx")}
    silenced = ("ignore", None, Warning, None, 0) in warnings.filters  # all warnings of the process
    return loggers, silenced, sys.stdout, sys.stderr


def test_an_export_changes_neither_the_module_nor_the_process():
    from hauberk.models._torch_export import torch_to_onnx
    from hauberk.models.torch_model import Encoded, TorchModel

    importlib.import_module("torch.onnx")  # its import sets up its own loggers
    model = TorchModel(Encoded(None, Watching()), SPEC, "cpu")
    model.module.train()
    SEEN.clear()
    before = process()
    torch_to_onnx(model, model.module, SPEC)
    assert SEEN
    assert all(state == before for state in SEEN)
    assert all(part.training for part in model.module.modules())
    assert all(weight.requires_grad for weight in model.module.parameters())
