"""OnnxModel: an ONNX file as a black box. It can be asked for scores and attacked, but not hardened.

Safe to open: only the standard operator sets (and functions written in them) run, and no other file is read, so that a
hostile file can neither load a library nor read other data. Nothing is promised about its answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.models import _blame, _scores
from hauberk.models.port import Floats, log_of
from hauberk.models.probes import probes
from hauberk.models.spec import Spec

CANNOT_HARDEN = (
    "An ONNX file is only assessed: it holds no training code, so Hauberk cannot harden it. To harden the model, give "
    "its weights as safetensors together with their builder (weights = ... and build = ...)."
)

_STANDARD = ("", "ai.onnx", "ai.onnx.ml")
_BATCH = 1024
_EXTERNAL = 1  # onnx.TensorProto.EXTERNAL


class OnnxModel:
    """A model read from ONNX bytes: `models.port.Model`, for black-box attacks only."""

    framework = "onnx"

    def __init__(self, data: bytes, spec: Spec) -> None:
        """Read and check the bytes.

        Raises InvalidInput if they are not ONNX, use custom operators or external files, or do not have one float32 input
        of (batch, *shape) and an output of (batch, classes). Probabilities are converted to logarithms.
        """
        self.spec = spec
        self._data = data
        self._session = _session(data)
        self._input, self._fixed = _input_of(self._session, spec)
        self._output = _output_of(self._session, spec)
        self._probabilities = False
        self._probabilities = self._gives_probabilities()

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.spec.classes

    def scores(self, x: Floats) -> Floats:
        """Return (n, classes) logits or log-probabilities. Raises InvalidInput for NaN or another shape."""
        parts = [self._run(part) for part in self._batches(np.ascontiguousarray(x, np.float32))]
        raw = np.concatenate(parts)[: len(x)] if parts else np.zeros((0, self.classes), np.float32)
        if self._probabilities:
            raw = log_of(raw)
        return _scores.checked(raw, len(x), self.classes, who="the ONNX model")

    def export_onnx(self) -> bytes:
        """Return the bytes that were read, unchanged."""
        return self._data

    def weights(self) -> bytes | None:
        """Return None: the weights are inside the ONNX file."""
        return None

    def _batches(self, x: Floats) -> Iterator[Floats]:
        size = self._fixed or _BATCH
        for start in range(0, len(x), size):
            part = x[start : start + size]
            if self._fixed and len(part) < size:  # a fixed batch size is filled with copies of the last row
                part = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
            yield part

    def _run(self, x: Floats) -> Floats:
        try:
            (raw,) = self._session.run([self._output], {self._input: x})
        except Exception as error:  # onnxruntime's own errors have no common root
            raise InvalidInput(
                f"the ONNX model cannot be run on an input of shape {x.shape}: {_blame.told(error)}"
            ) from error
        return np.asarray(raw)

    def _gives_probabilities(self) -> bool:
        scores = self.scores(probes(self.spec, 16))
        rows = scores.sum(axis=1)
        return bool((scores >= 0).all() and np.allclose(rows, 1.0, atol=1e-3))


def _session(data: bytes) -> Any:  # noqa: ANN401 - onnxruntime publishes no types
    onnx, runtime = need("onnx"), need("onnxruntime")
    try:
        proto = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's DecodeError is not reachable by a stable name
        raise InvalidInput("the model is not an ONNX file: it may be truncated, or of another format.") from error
    if not proto.graph.node:
        raise InvalidInput("the model is not an ONNX file, or an empty one: it has no operators.")
    _refuse_foreign(proto)
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    try:
        return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # as above
        raise InvalidInput(f"the ONNX model cannot be loaded: {_blame.told(error)}") from error


def _refuse_foreign(proto: Any) -> None:  # noqa: ANN401 - an onnx.ModelProto
    own = {function.domain for function in proto.functions}
    for node in _nodes(proto):
        if node.domain not in _STANDARD and node.domain not in own:
            raise InvalidInput(
                f"the ONNX model uses the operator {node.op_type} of {node.domain!r}, which needs a library of its "
                "own; only the standard operators are run. Export it without custom operators."
            )
    for tensor in _tensors(proto):
        if tensor.data_location == _EXTERNAL or len(tensor.external_data):
            raise InvalidInput(
                f"the ONNX model keeps {tensor.name!r} in another file; only a single file is read, so that its "
                "digest covers everything. Save it in one file (onnx.save with save_as_external_data=False)."
            )


def _nodes(proto: Any) -> Iterator[Any]:  # noqa: ANN401 - an onnx.ModelProto
    left = [*proto.graph.node, *(node for function in proto.functions for node in function.node)]
    while left:
        node = left.pop()
        yield node
        for attribute in node.attribute:
            left.extend(attribute.g.node)
            left.extend(inner for graph in attribute.graphs for inner in graph.node)


def _tensors(proto: Any) -> Iterator[Any]:  # noqa: ANN401 - an onnx.ModelProto
    graphs = [proto.graph]
    for node in _nodes(proto):
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
            graphs.extend((attribute.g, *attribute.graphs))
    for graph in graphs:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)


def _input_of(session: Any, spec: Spec) -> tuple[str, int]:  # noqa: ANN401 - as above
    """Return the input's name and its batch size, 0 if the batch size is free."""
    inputs = session.get_inputs()
    shape = list(inputs[0].shape or ()) if inputs else []
    rest = shape[1:]
    fits = len(rest) == len(spec.shape) and all(
        not isinstance(have, int) or have == want for have, want in zip(rest, spec.shape, strict=True)
    )
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or not fits:
        found = ", ".join(f"{each.name} {each.type} {each.shape}" for each in inputs) or "none"
        raise InvalidInput(
            f"the ONNX model has the inputs {found}; expected one tensor(float) of shape "
            f"{['batch', *spec.shape]}, as the data are."
        )
    return inputs[0].name, shape[0] if isinstance(shape[0], int) else 0


def _output_of(session: Any, spec: Spec) -> str:  # noqa: ANN401 - as above
    outputs = session.get_outputs()
    for each in outputs:
        if each.type in ("tensor(float)", "tensor(double)") and len(each.shape or ()) == 2:
            last = each.shape[1]
            if not isinstance(last, int) or last == spec.classes:
                return str(each.name)
    found = ", ".join(f"{each.name} {each.type} {each.shape}" for each in outputs)
    raise InvalidInput(
        f"the ONNX model has the outputs {found}; expected a tensor(float) of shape ['batch', {spec.classes}], one "
        "score for each class. From skl2onnx, export with the option zipmap = False."
    )
