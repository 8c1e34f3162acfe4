"""Where published vectors and real data are, when this machine has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def _folder(variable: str) -> Path:
    name = os.environ.get(variable)
    if not name:
        pytest.skip(f"{variable} is not set")
    return Path(name)


@pytest.fixture(scope="session")
def vectors() -> Path:
    return _folder("HAUBERK_VECTORS")


@pytest.fixture(scope="session")
def datasets() -> Path:
    return _folder("HAUBERK_DATA")
