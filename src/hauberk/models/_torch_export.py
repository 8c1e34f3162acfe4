"""Export of a torch module to ONNX."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.models import _blame
from hauberk.models._export import OPSET, finished
from hauberk.models.port import Model
from hauberk.models.probes import probes
from hauberk.models.spec import Spec

if TYPE_CHECKING:
    from torch import nn


def torch_to_onnx(model: Model, module: nn.Module, spec: Spec) -> bytes:
    """Return deterministic ONNX bytes of a torch module. Raises InvalidInput when it cannot be exported.

    model: the module as a Model; the exported bytes must give its scores. An isolated copy on the CPU is exported, so that
    the module itself is not changed.

    torch writes a few warnings and log lines about its own exporter. They are left alone, because silencing them would
    change the process's settings; a program can set TORCH_LOGS=-onnx before torch is imported, as the command line does.
    """
    torch, onnx = need("torch"), need("onnx")
    need("onnxscript")
    from hauberk.models.isolation import isolated  # imports torch

    copy = isolated(module).to("cpu")
    buffer = io.BytesIO()
    # Two rows, because the exporter treats a dimension of 1 as a constant.
    example = torch.from_numpy(probes(spec, 2))
    try:
        with torch.no_grad():
            torch.onnx.export(
                copy,
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
    proto = onnx.load_model_from_string(buffer.getvalue())
    return finished(proto, model, spec)
