"""Where published vectors and real data are, when this machine has them, and the small project that many tests run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hauberk.custody.keys._vault import Cost
from hauberk.custody.keys.keyring import Keyring

_MODEL = """
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

def build():
    return make_pipeline(StandardScaler(), LogisticRegression({fit}))
"""
_PROJECT = """
[project]
name = "cells"
seed = {seed}

[data]
kind = "table"
{data}

[model]
build = "model:build"
"""


def _folder(variable: str) -> Path:
    name = os.environ.get(variable)
    if not name:
        pytest.skip(f"{variable} is not set")
    return Path(name)


@pytest.fixture(autouse=True, scope="session")
def _a_home_of_our_own(tmp_path_factory):
    """Nothing is read from, or written to, the passphrase and the memory of releases of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
            patch.setenv(variable, str(tmp_path_factory.mktemp("home")))
        for variable in ("HAUBERK_STATE", "HAUBERK_PASSPHRASE", "HAUBERK_PASSPHRASE_FILE"):
            patch.delenv(variable, raising=False)
        yield


@pytest.fixture(scope="session")
def vectors() -> Path:
    return _folder("HAUBERK_VECTORS")


@pytest.fixture(scope="session")
def datasets() -> Path:
    return _folder("HAUBERK_DATA")


@pytest.fixture(scope="session")
def cheap_keys():
    """Make the keyring beforehand at the lowest price of a guess: the default's is paid in the keyring's tests."""

    def uri(path: Path) -> str:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            Keyring.make(path, b"correct horse", cost=Cost(time=1, memory=8, lanes=1))
        return f"keyring:{path}"

    return uri


@pytest.fixture(scope="session")
def cells_project():
    """Write a project: real data of cells, a line as its model, and whatever else is declared. Returns its folder."""

    data = 'files = ["sklearn:breast_cancer"]'

    def write(folder: Path, declared: str, *, fit: str = "max_iter=200", data: str = data, seed: int = 0) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.py").write_text(_MODEL.format(fit=fit))
        (folder / "hauberk.toml").write_text(_PROJECT.format(data=data, seed=seed) + declared)
        return folder

    return write
