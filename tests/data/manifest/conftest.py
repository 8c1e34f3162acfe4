"""Data sets on disk that manifests are built of: a table in three files, and pictures in four folders."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(3)
    frame = pl.DataFrame({"a": rng.integers(0, 9, 4000), "b": rng.normal(size=4000)})
    folder = tmp_path / "set"
    folder.mkdir()
    for part in range(3):
        frame[part * 1000 : part * 1000 + 1000].write_parquet(folder / f"part-{part}.parquet", row_group_size=100)
    return folder


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    for number in range(200):
        (folder / str(number % 4)).mkdir(parents=True, exist_ok=True)
        (folder / str(number % 4) / f"{number}.png").write_bytes(f"picture {number}".encode() * 40)
    return folder
