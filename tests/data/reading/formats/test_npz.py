"""NPZ: tracks are numbered within classes, other groups are not."""

from __future__ import annotations

import numpy as np

from hauberk.data.reading.loading import DataSpec, load


def test_tracks_are_counted_within_classes_and_other_groups_across_them(tmp_path):
    x, y, number = np.zeros((8, 4, 4), np.uint8), np.repeat([0, 1], 4), np.array([0, 0, 1, 1, 0, 0, 1, 1])
    np.savez(tmp_path / "t.npz", x=x, y=y, track=number)
    np.savez(tmp_path / "g.npz", x=x, y=y, patient=number)
    tracks = load(DataSpec("image", (str(tmp_path / "t.npz"),), test_share=0.5), seed=0)
    patients = load(DataSpec("image", (str(tmp_path / "g.npz"),), group="patient", test_share=0.5), seed=0)
    assert len({*tracks.train.groups.tolist(), *tracks.test.groups.tolist()}) == 4
    assert len({*patients.train.groups.tolist(), *patients.test.groups.tolist()}) == 2
