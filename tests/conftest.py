"""Where published vectors and real data are, when this machine has them, and the small project that many tests run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
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


_TWINS = Path(__file__).parent / "vectors"


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


@pytest.fixture(scope="session", params=["twins", "published"])
def either(request) -> Path:
    """The committed twins of the published vectors (tests/vectors), then the published ones where they are."""
    return _TWINS if request.param == "twins" else _folder("HAUBERK_VECTORS")


@pytest.fixture(scope="session")
def enough(either):
    """Whether a set of vectors is as large as it has to be: `least` cases of the published one, a few of its twin."""
    return lambda count, least: count >= (3 if either == _TWINS else least)


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
def write_plug_in():
    """Write an installed package, as pip would, that announces modules to Hauberk. Returns the folder for sys.path."""

    def write(site: Path, name: str, files: dict[str, str], *, version: str = "1.0", announces: str = "") -> Path:
        listed = []
        for file, text in files.items():
            place = site / file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
            listed.append(file)
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        points = announces or next(iter(files)).removesuffix(".py").replace("/", ".")
        (info / "entry_points.txt").write_text(f"[hauberk.controls]\n{name} = {points}\n")
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in listed))
        return site

    return write


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


@pytest.fixture(scope="session")
def loss_gradient():
    """The cross-entropy of each row and its gradient by x, as numpy arrays."""

    import torch

    def of(model, x, y):
        point = torch.from_numpy(x).requires_grad_()
        loss = torch.nn.functional.cross_entropy(model.logits(point), torch.from_numpy(y), reduction="none")
        return loss.detach().numpy(), torch.autograd.grad(loss.sum(), point)[0].numpy()

    return of


@dataclass(frozen=True)
class Sample:
    spec: Any
    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    budget: Any = None


def _split(spec, x, y, budget=None):
    order = np.random.default_rng(0).permutation(len(x))
    cut = int(0.7 * len(x))
    return Sample(spec, x[order[:cut]], y[order[:cut]], x[order[cut:]], y[order[cut:]], budget)


@pytest.fixture(scope="session")
def digits() -> Sample:
    from sklearn.datasets import load_digits

    from hauberk.models.spec import Spec

    raw = load_digits()
    x = (raw.images / 16).astype(np.float32)[:, None]
    return _split(Spec("image", (1, 8, 8), 10), x, raw.target.astype(np.int64))


@pytest.fixture(scope="session")
def cancer() -> Sample:
    """Breast cancer; who attacks may move four of the measurements by about a deviation."""
    from sklearn.datasets import load_breast_cancer

    from hauberk.attacks.columnbox import ColumnBox
    from hauberk.core.columns import Column, ColumnKind
    from hauberk.core.threats import ColumnBudget
    from hauberk.models.spec import Spec

    raw = load_breast_cancer()
    x = raw.data.astype(np.float32)
    columns = tuple(
        Column(str(name), ColumnKind.NUMBER, float(low), float(high))
        for name, low, high in zip(raw.feature_names, x.min(0), x.max(0), strict=True)
    )
    moved = ("worst radius", "worst texture", "worst concave points", "mean texture")
    deviation = dict(zip((c.name for c in columns), x.std(0), strict=True))
    budget = ColumnBox(columns, tuple(ColumnBudget(name, float(deviation[name]) * 0.7) for name in moved))
    return _split(Spec("table", (x.shape[1],), 2, columns), x, raw.target.astype(np.int64), budget)


@pytest.fixture(scope="session")
def mixed() -> Sample:
    """A made table of every kind of column, whose label follows from a number and a category."""
    from hauberk.attacks.columnbox import ColumnBox
    from hauberk.core.columns import Column, ColumnKind
    from hauberk.core.threats import ColumnBudget
    from hauberk.models.spec import Spec

    rng = np.random.default_rng(7)
    n = 600
    columns = (
        Column("kind", ColumnKind.CATEGORY, 0, 2, ("a", "b", "c")),
        Column("size", ColumnKind.NUMBER, -3.0, 3.0),
        Column("count", ColumnKind.INTEGER, 0, 9),
        Column("flag", ColumnKind.CATEGORY, 0, 1, ("no", "yes")),
    )
    x = np.stack(
        [rng.integers(0, 3, n), rng.normal(size=n).clip(-3, 3), rng.integers(0, 10, n), rng.integers(0, 2, n)], 1
    ).astype(np.float32)
    y = ((x[:, 1] + 0.3 * (x[:, 2] - 4.5) + (x[:, 0] == 2) - 0.3) > 0).astype(np.int64)
    budget = ColumnBox(columns, (ColumnBudget("size", 0.5), ColumnBudget("count", 1), ColumnBudget("flag")))
    return _split(Spec("table", (4,), 2, columns), x, y, budget)
