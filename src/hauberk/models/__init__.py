"""Models: the interface of a classifier and its implementations, apart from training and attacks.

`port` defines the interface; `adapting.as_model` turns modules, estimators and functions into a Model; `torch_model`,
`sklearn_model` and `onnx_model` implement it for Hauberk's own models; `encoding` and `spec` describe their input;
`isolation` copies torch modules, so that using one never changes it. The names below are the room's public surface; they
are imported when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hauberk.core.lifting import lifted

if TYPE_CHECKING:
    from hauberk.models.adapting import as_model as as_model
    from hauberk.models.encoding import Encoding as Encoding
    from hauberk.models.isolation import isolated as isolated
    from hauberk.models.onnx_model import OnnxModel as OnnxModel
    from hauberk.models.port import Differentiable as Differentiable
    from hauberk.models.port import Floats as Floats
    from hauberk.models.port import Labels as Labels
    from hauberk.models.port import Model as Model
    from hauberk.models.sklearn_model import SklearnModel as SklearnModel
    from hauberk.models.spec import Spec as Spec
    from hauberk.models.torch_model import TorchModel as TorchModel

_HOMES = {
    "Differentiable": "port",
    "Encoding": "encoding",
    "Floats": "port",
    "Labels": "port",
    "Model": "port",
    "OnnxModel": "onnx_model",
    "SklearnModel": "sklearn_model",
    "Spec": "spec",
    "TorchModel": "torch_model",
    "as_model": "adapting",
    "isolated": "isolation",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605 - the table is the list


def __getattr__(name: str) -> Any:  # noqa: ANN401 - one of the names above
    return lifted(__name__, _HOMES, name)
