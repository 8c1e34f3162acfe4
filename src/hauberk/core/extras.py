"""Import an optional library, or raise an error with the command that installs it."""

from __future__ import annotations

import importlib
from typing import Any

from hauberk.core.errors import MissingExtra

_EXTRA_OF = {
    "cronsim": "data",
    "numpy": "data",
    "polars": "data",
    "sklearn": "data",
    "PIL": "data",
    "onnx": "models",
    "onnxruntime": "models",
    "safetensors": "models",
    "skl2onnx": "models",
    "onnxscript": "torch",
    "boto3": "kms",
    "botocore": "kms",
    "pkcs11": "pkcs11",
    "keyring": "os-keyring",
    "pyarrow": "parquet",
    "torch": "torch",
}


def need(module: str) -> Any:  # noqa: ANN401 - a module has no narrower type
    """Return the imported module. Raises MissingExtra, with the pip command, when it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] != top:
            raise
        raise MissingExtra(top, _EXTRA_OF.get(top, "all")) from error
