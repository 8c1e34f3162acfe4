"""Export to ONNX, and the proof that the exported bytes are the model: they are run and the scores compared."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from hauberk.attacks.model import Floats, Model
from hauberk.core.columns import ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.training import _blame, _scores
from hauberk.training.spec import Spec

if TYPE_CHECKING:
    from hauberk.training.torch_model import TorchModel

OPSET = 20
TOLERANCE = 1e-3  # largest allowed difference of a class probability between a model and its export
_PROBES = 64


def torch_to_onnx(model: TorchModel) -> bytes:
    """Return deterministic ONNX bytes of a torch model. Raises InvalidInput when it cannot be exported."""
    torch, onnx = need("torch"), need("onnx")
    need("onnxscript")
    module = model.module.to("cpu").eval()
    buffer = io.BytesIO()
    # Two rows, not one: a dimension of 1 would be taken for a constant.
    example = torch.from_numpy(probes(model.spec, 2))
    try:
        with _silent(), torch.no_grad():
            torch.onnx.export(
                module,
                (example,),
                buffer,
                input_names=["input"],
                output_names=["scores"],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except Exception as error:
        cause = error.__cause__ or error
        place = _blame.place(cause, otherwise="the model")
        raise InvalidInput(
            f"{place}: the model cannot be exported to ONNX: {_blame.told(cause)}. Use layers and operations that "
            "do not depend on the values or on the number of the rows."
        ) from error
    finally:
        module.to(model.device)
    proto = onnx.load_model_from_string(buffer.getvalue())
    return finished(proto, model, model.spec)


def finished(proto: Any, model: Model, spec: Spec) -> bytes:  # noqa: ANN401 - an onnx.ModelProto
    """Strip what is not the model, write the bytes, run them, and compare. Raises InvalidInput for a difference."""
    strip(proto)
    data: bytes = proto.SerializeToString(deterministic=True)
    verify(data, model, spec)
    return data


def strip(proto: Any) -> None:  # noqa: ANN401 - an onnx.ModelProto
    """Remove names of producers, source lines and stack traces: they say nothing of the model and name machines."""
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
    from hauberk.training.onnx_model import OnnxModel

    x = probes(spec, _PROBES)
    ours = _scores.probabilities(model.scores(x))
    exported = _scores.probabilities(OnnxModel(data, spec).scores(x))
    apart = float(np.abs(ours - exported).max())
    if apart > TOLERANCE:
        raise InvalidInput(
            f"the exported ONNX differs from the model: a class probability by {apart:.2g}, allowed {TOLERANCE:g}. "
            "The model may do something that depends on the batch, or be random in evaluation mode."
        )


def probes(spec: Spec, rows: int) -> Floats:
    """Return valid random inputs: pixels in [0, 1], or rows within the columns' ranges. Always the same."""
    rng = np.random.default_rng(0)
    if spec.kind == "image":
        return rng.random((rows, *spec.shape), dtype=np.float32)
    x = np.empty((rows, len(spec.columns)), dtype=np.float32)
    for i, column in enumerate(spec.columns):
        values = rng.uniform(column.low, column.high, rows)
        x[:, i] = values if column.kind is ColumnKind.NUMBER else np.rint(values)
    return x


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep exporters from writing to the terminal: their progress, warnings and log lines are not the user's."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
