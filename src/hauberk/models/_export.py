"""The last steps of every ONNX export: remove metadata, run the bytes, and compare them with the model."""

from __future__ import annotations

from typing import Any

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.models import _scores
from hauberk.models.onnx_model import OnnxModel
from hauberk.models.port import Model
from hauberk.models.probes import probes
from hauberk.models.spec import Spec

OPSET = 20
TOLERANCE = 1e-3  # largest allowed difference of a class probability between model and export
_PROBES = 64


def finished(proto: Any, model: Model, spec: Spec) -> bytes:  # noqa: ANN401 - an onnx.ModelProto
    """Return the bytes without metadata, after running them. Raises InvalidInput if they differ from the model."""
    strip(proto)
    data: bytes = proto.SerializeToString(deterministic=True)
    verify(data, model, spec)
    return data


def strip(proto: Any) -> None:  # noqa: ANN401 - an onnx.ModelProto
    """Remove names of producers, source lines and stack traces, which reveal machines and paths."""
    proto.producer_name, proto.producer_version, proto.doc_string, proto.domain = "hauberk", "", "", ""
    del proto.metadata_props[:]
    proto.graph.name = "model"
    _strip_graph(proto.graph)
    for function in proto.functions:
        function.doc_string = ""
        del function.metadata_props[:]
        for node in function.node:
            _strip_node(node)


def _strip_graph(graph: Any) -> None:  # noqa: ANN401 - an onnx.GraphProto
    graph.doc_string = ""
    del graph.metadata_props[:]
    del graph.value_info[:]
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.doc_string = ""
        del value.metadata_props[:]
    for node in graph.node:
        _strip_node(node)


def _strip_node(node: Any) -> None:  # noqa: ANN401 - an onnx.NodeProto
    node.doc_string = ""
    del node.metadata_props[:]
    for attribute in node.attribute:
        attribute.doc_string = ""
        for graph in (attribute.g, *attribute.graphs) if attribute.HasField("g") else attribute.graphs:
            _strip_graph(graph)


def verify(data: bytes, model: Model, spec: Spec) -> None:
    """Raise InvalidInput unless the ONNX bytes give the model's class probabilities on random inputs."""
    x = probes(spec, _PROBES)
    ours = _scores.probabilities(model.scores(x))
    exported = _scores.probabilities(OnnxModel(data, spec).scores(x))
    apart = float(np.abs(ours - exported).max())
    if apart > TOLERANCE:
        raise InvalidInput(
            f"the exported ONNX differs from the model: a class probability by {apart:.2g}, expected at most "
            f"{TOLERANCE:g}. The model may depend on the batch, or be random in evaluation mode: remove that. Or "
            "the library that converts it does not convert it exactly: use another estimator, or other settings of it."
        )
