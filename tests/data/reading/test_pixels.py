"""Pixels: every layout gives the same floats, and values out of range are refused."""

from __future__ import annotations

import numpy as np
import pytest

from hauberk.core.errors import InvalidInput
from hauberk.data.reading.loading import DataSpec, load


def test_pictures_in_any_layout_give_the_same_numbers(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (20, 6, 5, 3), np.uint8), np.arange(20) % 2
    digests = set()
    for name, pixels in (
        ("a", x),
        ("b", x.transpose(0, 3, 1, 2)),
        ("c", x.astype(np.int64)),
        ("d", x.astype(np.float32) / 255),
    ):
        np.savez(tmp_path / f"{name}.npz", x=pixels, y=y)
        split = load(DataSpec("image", (str(tmp_path / f"{name}.npz"),)), seed=0)
        assert split.train.x.shape == (16, 3, 6, 5)
        digests.add(split.train.digest())
    assert len(digests) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1, 1.5])
def test_pixels_out_of_range_are_refused_by_row(tmp_path, bad):
    x = np.full((8, 4, 4), 0.5, np.float32)
    x[5, 2, 2] = bad
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(8) % 2)
    with pytest.raises(InvalidInput, match=r"x\.npz, row 5 has pixels .*\(1 such rows\)"):
        load(DataSpec("image", (str(tmp_path / "x.npz"),)), seed=0)
