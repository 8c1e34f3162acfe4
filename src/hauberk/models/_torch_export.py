"""Export of a torch module to ONNX."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
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


def torch_to_onnx(model: Model, module: nn.Module, spec: Spec, device: str) -> bytes:
    """Return deterministic ONNX bytes of a torch module. Raises InvalidInput when it cannot be exported.

    model: the module as a Model, whose scores the exported bytes must give. device: where the module is; it is moved to
    the CPU for the export and back.
    """
    torch, onnx = need("torch"), need("onnx")
    need("onnxscript")
    module.to("cpu").eval()
    buffer = io.BytesIO()
    # Two rows, not one: a dimension of 1 would be taken for a constant.
    example = torch.from_numpy(probes(spec, 2))
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
        module.to(device)
    proto = onnx.load_model_from_string(buffer.getvalue())
    return finished(proto, model, spec)


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
