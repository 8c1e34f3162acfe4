"""Samples of tables: rows come from the table, in its order, as often as asked, and from tables only."""

import io

import numpy as np
import polars as pl
import pytest

from hauberk.data.manifest.sampling import sample_table


@pytest.fixture
def frame():
    return pl.DataFrame({"id": range(500), "text": [f"row {i}" for i in range(500)]})


def test_a_sample_has_rows_of_the_table_in_order_and_depends_on_the_seed(frame, tmp_path):
    path = tmp_path / "t.parquet"
    frame.write_parquet(path)
    sample = sample_table([str(path)], rows=50, seed=0)
    assert sample.ending == ".parquet"
    taken = pl.read_parquet(io.BytesIO(sample.data))
    assert taken.height == 50
    assert taken["id"].is_sorted()
    assert taken["text"].to_list() == [f"row {i}" for i in taken["id"]]
    assert sample_table([str(path)], rows=50, seed=0) == sample
    assert sample_table([str(path)], rows=50, seed=1) != sample


def test_rows_are_drawn_from_everywhere(frame, tmp_path):
    path = tmp_path / "t.parquet"
    frame.write_parquet(path)
    taken = pl.read_parquet(io.BytesIO(sample_table([str(path)], rows=200, seed=0).data))["id"]
    assert all(np.histogram(taken.to_numpy(), bins=5, range=(0, 500))[0] > 20)


def test_a_small_table_is_kept_whole_and_text_stays_text(frame, tmp_path):
    path = tmp_path / "t.csv"
    frame.write_csv(path)
    sample = sample_table([str(path)], rows=1000, seed=0)
    assert sample.ending == ".csv"
    assert sample.data == path.read_bytes()


def test_places_that_form_no_table_have_no_sample(frame, tmp_path):
    path = tmp_path / "t.parquet"
    frame.write_parquet(path)
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 4, 4), np.uint8), y=[0, 1])
    (tmp_path / "notes.xyz").write_text("nothing")
    assert sample_table([str(path), str(path)], rows=5, seed=0) is None
    assert sample_table([str(tmp_path / "a.npz")], rows=5, seed=0) is None
    assert sample_table([str(tmp_path / "notes.xyz")], rows=5, seed=0) is None
    assert sample_table([str(tmp_path / "absent")], rows=5, seed=0) is None
