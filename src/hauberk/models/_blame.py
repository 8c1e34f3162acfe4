"""The line of the user's own code that an exception came from, for error messages."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

_OURS = str(Path(__file__).resolve().parents[1])
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def place(error: BaseException, *, otherwise: str = "") -> str:
    """Return "path/model.py:12": the innermost line of the traceback outside Hauberk and libraries, else `otherwise`."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{error.filename}:{error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = frame.filename
        if not path.startswith(("<", _OURS, *_LIBRARIES)):
            return f"{path}:{frame.lineno}"
    return otherwise


def told(error: BaseException) -> str:
    """Return "ValueError: the message", the message on one line and cut at 300 characters."""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
