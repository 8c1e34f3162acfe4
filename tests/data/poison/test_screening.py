"""Screening: one ranked list from all detectors, quiet on honest rows, explained, and strict about what it is given."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet
from hauberk.data import screen
from hauberk.data.poison.detectors import DETECTORS, Rows
from hauberk.data.poison.screening import screen_rows
from hauberk.data.reading.dataset import Dataset


def blobs(n=900, k=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    return (rng.normal(size=(n, 6)) + 4 * np.eye(6)[y]).astype(np.float32), y, rng


def test_flipped_labels_of_embeddings_come_first_and_are_explained():
    x, y, rng = blobs()
    wrong = rng.permutation(len(y))[:45]
    given = y.copy()
    given[wrong] = (y[wrong] + 1) % 3
    found = screen(x, given, seed=1)
    assert np.isin(found.ranked[:45], wrong).mean() > 0.9
    assert found.found
    flagged = np.flatnonzero(found.flags)
    assert np.isin(flagged, wrong).mean() > 0.9
    for row in flagged:
        assert found.reasons[int(row)]
    assert (found.suggested[np.intersect1d(flagged, wrong)] == y[np.intersect1d(flagged, wrong)]).mean() > 0.9


@pytest.mark.parametrize("load", [load_breast_cancer, load_wine])
def test_honest_tables_are_quiet(load):
    data = load()
    found = screen(pl.DataFrame(data.data, schema=list(data.feature_names)), data.target)
    assert not found.found
    assert found.flags.mean() <= 0.01


def test_a_frame_of_polars_and_one_of_pandas_are_the_same():
    pytest.importorskip("pandas")
    x, y, rng = blobs(300)
    frame = pl.DataFrame({f"c{i}": x[:, i] for i in range(6)} | {"kind": rng.choice(["u", "v"], 300)})
    one, other = screen(frame, y, seed=3), screen(frame.to_pandas(), y, seed=3)
    assert np.array_equal(one.scores, other.scores)


def test_the_same_seed_gives_the_same_scores_and_text_labels_keep_their_names():
    x, y, _ = blobs(300)
    names = np.array(["cat", "dog", "emu"])[y]
    one, other = screen(x, names, seed=5), screen(x, names, seed=5)
    assert np.array_equal(one.scores, other.scores)
    assert one.classes == ("cat", "dog", "emu")


def test_the_guilty_source_is_in_the_table():
    x, y, rng = blobs(1500)
    sources = rng.choice(["a", "b", "c"], len(y))
    wrong = (sources == "b") & (rng.random(len(y)) < 0.2)
    given = np.where(wrong, (y + 1) % 3, y)
    found = screen(x, given, sources=sources)
    assert [row.source for row in found.sources if row.guilty] == ["b"]
    assert found.to_json()["sources"][0]["source"] == "b"


def test_a_clean_picture_set_is_quiet_and_pictures_come_in_every_common_shape():
    data = load_digits()
    found = screen(
        data.images[:400].astype(np.uint8) * 15, data.target[:400], detectors={"floods": {}, "clean-labels": {}}
    )
    assert not found.flags.any()


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.zeros((10, 3)), np.arange(10) % 2, "needs at least 50"),
        (np.zeros((60, 3)), np.zeros(60), "of one"),
        (np.full((60, 3), np.nan), np.arange(60) % 2, "60 rows hold NaN or infinity"),
        (np.zeros((60, 3)), np.arange(59) % 2, "59 labels"),
        (np.zeros(60), np.arange(60) % 2, "expected pictures"),
        (np.zeros((60, 3)), np.zeros((60, 2)), "one label for each row"),
    ],
)
def test_what_cannot_be_screened_is_refused(x, y, words):
    with pytest.raises(InvalidInput, match=words):
        screen(x.astype(np.float32), y)


@pytest.mark.parametrize("value", [0, 0.6, float("nan"), -1])
def test_an_impossible_false_alarm_rate_is_refused(value):
    with pytest.raises(InvalidInput, match="false_alarms"):
        screen(np.zeros((60, 3), np.float32), np.arange(60) % 2, false_alarms=value)


def test_unknown_detectors_and_parameters_are_refused():
    x, y, _ = blobs(100)
    with pytest.raises(InvalidInput, match="no poison detector is named 'nothing'"):
        screen(x, y, detectors={"nothing": {}})
    with pytest.raises(InvalidInput, match="no parameter"):
        screen(x, y, detectors={"floods": {"speed": 1}})


def small(kind):
    rng = np.random.default_rng(7)
    y = np.arange(120) % 3
    if kind == "image":
        x = (rng.random((120, 1, 8, 8)) * 0.3 + (y / 4)[:, None, None, None]).astype(np.float32)
        return Rows("image", Dataset("image", x, y, ("a", "b", "c"), (), np.arange(120)))
    x = (rng.normal(size=(120, 5)) + y[:, None]).astype(np.float32)
    columns = tuple(Column(f"n{i}", ColumnKind.NUMBER, -4.0, 6.0) for i in range(5))
    return Rows(kind, Dataset("table", x, y, ("a", "b", "c"), columns, np.arange(120)))


@pytest.mark.parametrize(("name", "kind"), [(entry.name, kind) for entry in DETECTORS for kind in entry.kinds])
def test_every_detector_keeps_the_laws(name, kind):
    entry = DETECTORS[name]
    rows = small(kind)
    before = rows.side.digest()
    one, other = (
        entry.run(small(kind), entry.make({}), rng=np.random.default_rng(1), task=Quiet()) for _ in range(2)
    )
    assert one.score.shape == (120,)
    assert np.array_equal(one.score, other.score)
    assert all(row in one.reasons for row in np.flatnonzero(one.score >= 2))
    assert all(0 <= row < 120 and text for row, text in one.reasons.items())
    if one.suggested is not None:
        assert one.suggested.min() >= -1
        assert one.suggested.max() < 3
    assert rows.side.digest() == before
    assert entry.practice == "1a"


def test_scores_are_joined_with_the_number_of_detectors_in_the_budget():
    x, y, _ = blobs(400)
    side = Dataset(
        "table",
        x,
        y,
        ("a", "b", "c"),
        tuple(Column(f"n{i}", ColumnKind.NUMBER, -9.0, 9.0) for i in range(6)),
        np.arange(400),
    )
    alone = screen_rows(Rows("embedding", side), detectors={"label-errors": {}})
    joined = screen_rows(Rows("embedding", side), detectors={"label-errors": {}, "floods": {}})
    assert (joined.scores <= alone.scores + 1e-9).all()
    assert set(alone.seconds) == {"label-errors"}
