"""Loading gives numbers one meaning on both sides, splits honestly, and refuses what has no meaning."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk.core.columns import ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.data.reading.formats import delimited, parquet
from hauberk.data.reading.loading import DataSpec, fingerprint, load, load_whole
from hauberk.data.reading.splitting import sample_rows, split_rows
from hauberk.data.reading.targets import to_classes


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "age": rng.integers(18, 90, 60),
            "size": rng.normal(size=60),
            "town": ["b", "a", None] * 20,
            "member": [True, False] * 30,
            "who": [f"p{i // 3}" for i in range(60)],
            "y": ["no", "yes", "no"] * 20,
        }
    )


def saved(tmp_path, frame, name="x.parquet"):
    frame.write_parquet(tmp_path / name)
    return str(tmp_path / name)


def whole(split):
    return np.concatenate([split.train.x, split.test.x]), np.concatenate([split.train.rows, split.test.rows])


def test_columns_keep_values_codes_and_row_numbers(tmp_path, frame):
    split = load(DataSpec("table", (saved(tmp_path, frame),), target="y", group="who"), seed=1)
    age, size, town, member = split.train.columns
    assert [c.kind for c in split.train.columns] == [
        ColumnKind.INTEGER,
        ColumnKind.NUMBER,
        ColumnKind.CATEGORY,
        ColumnKind.CATEGORY,
    ]
    assert town.categories == ("a", "b", "missing")
    assert (town.low, town.high, member.categories) == (0.0, 2.0, ("false", "true"))
    assert (age.low, age.high) == (split.train.x[:, 0].min(), split.train.x[:, 0].max())
    x, rows = whole(split)
    np.testing.assert_array_equal(x[:, 0], frame["age"].to_numpy()[rows])
    np.testing.assert_array_equal(x[:, 1], frame["size"].to_numpy().astype(np.float32)[rows])
    assert [town.categories[int(code)] for code in x[:, 2]] == [
        frame["town"][int(row)] or "missing" for row in rows
    ]
    assert split.train.classes == ("no", "yes")
    assert size.name == "size"


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf"), float("-inf")])
def test_missing_nan_and_infinite_numbers_are_refused_by_row_and_column(tmp_path, frame, bad):
    values = frame["size"].to_list()
    values[7] = values[40] = bad
    path = saved(tmp_path, frame.with_columns(pl.Series("size", values)))
    with pytest.raises(
        InvalidInput, match=r"column 'size' .* 2 of 60 rows \(x.parquet, row 7; x.parquet, row 40\)"
    ) as caught:
        load(DataSpec("table", (path,), target="y"), seed=0)
    assert 'drop = ["size"]' in str(caught.value)
    assert load(DataSpec("table", (path,), target="y", drop=("size",)), seed=0).train.x.shape[1] == 4


@pytest.mark.parametrize(
    ("target", "match"),
    [
        ("nothing", "no column 'nothing', the target; it has: age, size"),
        ("", "no target is named"),
        ("size", "holds fractions"),
        ("row", "60 different values in 60 rows"),
        ("one", r"one class only: 'x' in all 60 rows"),
        ("hole", r"target 'hole' has no value in 1 of 60 rows \(x.parquet, row 3\)"),
        ("day", "expected classes"),
    ],
)
def test_a_target_that_is_no_class_is_refused(tmp_path, frame, target, match):
    hole = ["a", "b"] * 30
    hole[3] = None
    more = frame.with_columns(
        pl.Series("row", range(60)),
        pl.lit("x").alias("one"),
        pl.Series("hole", hole),
        pl.Series("day", [0] * 60, pl.Date),
    )
    with pytest.raises(InvalidInput, match=match):
        load(
            DataSpec("table", (saved(tmp_path, more),), target=target, drop=() if target == "day" else ("day",)),
            seed=0,
        )


def test_both_sides_share_codes_and_classes(tmp_path, frame):
    train, test = (
        saved(tmp_path, frame[:40]),
        saved(tmp_path, frame[40:].with_columns(pl.lit("c").alias("town")), "t.parquet"),
    )
    split = load(DataSpec("table", (train,), (test,), target="y"), seed=0)
    assert split.train.columns[2].categories == ("a", "b", "c", "missing")
    assert set(split.test.x[:, 2].tolist()) == {2.0}
    assert split.test.rows.tolist() == list(range(20))


def test_test_files_with_other_columns_or_kinds_or_unseen_classes_are_refused(tmp_path, frame):
    train = saved(tmp_path, frame)
    for other, match in (
        (frame.drop("age"), "'age' is in x.parquet and not in t.parquet"),
        (frame.with_columns(pl.col("age").cast(pl.String)), "'age' is Int64 in x.parquet and String in t.parquet"),
        (frame.with_columns(pl.lit("perhaps").alias("y")), r"60 test rows \(first: row 0\).*'perhaps'"),
    ):
        with pytest.raises(InvalidInput, match=match):
            load(DataSpec("table", (train,), (saved(tmp_path, other, "t.parquet"),), target="y"), seed=0)


def test_several_files_are_read_as_one_and_rows_are_named_by_file(tmp_path, frame):
    one, two = saved(tmp_path, frame[:20], "1.parquet"), saved(tmp_path, frame[20:], "2.parquet")
    together = load(DataSpec("table", (one, two), target="y"), seed=3)
    alone = load(DataSpec("table", (saved(tmp_path, frame),), target="y"), seed=3)
    assert together.train.digest() == alone.train.digest()
    broken = frame[20:].with_columns(pl.when(pl.col("age") >= 0).then(None).otherwise(0).alias("age"))
    with pytest.raises(InvalidInput, match=r"2\.parquet, row 0"):
        load(DataSpec("table", (one, saved(tmp_path, broken, "2.parquet")), target="y"), seed=0)


def test_names_of_columns_come_from_the_head_alone_and_are_those_that_reading_gives(tmp_path, frame):
    frame.write_csv(tmp_path / "x.csv", separator=";")
    with (tmp_path / "x.csv").open("a") as file:
        file.write("torn;line\n")
    assert delimited.names(tmp_path / "x.csv") == frame.columns
    saved(tmp_path, frame)
    assert parquet.names(tmp_path / "x.parquet") == frame.columns
    (tmp_path / "x.csv").write_bytes(b"\x1f\x8bcut off")
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    for read, name in ((delimited.names, "x.csv"), (parquet.names, "x.parquet")):
        with pytest.raises(InvalidInput, match=name):
            read(tmp_path / name)


def test_the_same_seed_gives_the_same_digests_and_another_seed_another_split(tmp_path, frame):
    spec = DataSpec("table", (saved(tmp_path, frame),), target="y")
    first, again, other = load(spec, seed=1), load(spec, seed=1), load(spec, seed=2)
    assert (first.train.digest(), first.test.digest()) == (again.train.digest(), again.test.digest())
    assert first.train.digest() != other.train.digest()
    assert first.train.digest() != dataclasses.replace(first.train, y=1 - first.train.y).digest()
    assert first.train.digest() != dataclasses.replace(first.train, classes=("x", "y")).digest()


def test_fingerprints_follow_order_and_content(tmp_path, frame):
    (tmp_path / "a").mkdir()
    one, two = saved(tmp_path, frame), saved(tmp_path / "a", frame)
    found = fingerprint(DataSpec("table", (one,), (two,), target="y"))
    assert found[0].sha256 == found[1].sha256
    assert found[0].name != found[1].name
    assert fingerprint(DataSpec("image", ("sklearn:digits",)))[0].name == "sklearn:digits"
    folder = fingerprint(DataSpec("image", (str(tmp_path / "a"),)))[0].sha256
    (tmp_path / "a" / "more").write_bytes(b"x")
    assert fingerprint(DataSpec("image", (str(tmp_path / "a"),)))[0].sha256 != folder


def test_digits_are_pictures_from_zero_to_one():
    split = load(DataSpec("image", ("sklearn:digits",), limit=400), seed=0)
    assert split.train.x.shape[1:] == (1, 8, 8)
    assert len(split.train) + len(split.test) == 400
    assert (split.train.x.min(), split.train.x.max()) == (0.0, 1.0)
    assert split.train.classes == tuple("0123456789")


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        (DataSpec("image", ("sklearn:wine",)), 'holds table data and kind = "image"'),
        (DataSpec("image", ("sklearn:faces",)), "known: sklearn:breast_cancer, sklearn:digits"),
        (DataSpec("image", ("sklearn:digits", "x.npz")), "name it alone"),
        (DataSpec("image", ("sklearn:digits",), limit=5), "cannot hold 10 classes"),
        (DataSpec("image", ("sklearn:digits",), labels=("a", "b")), "2 label names are given"),
    ],
)
def test_impossible_wishes_are_refused(spec, match):
    with pytest.raises(InvalidInput, match=match):
        load(spec, seed=0)


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


def test_tracks_are_counted_within_classes_and_other_groups_across_them(tmp_path):
    x, y, number = np.zeros((8, 4, 4), np.uint8), np.repeat([0, 1], 4), np.array([0, 0, 1, 1, 0, 0, 1, 1])
    np.savez(tmp_path / "t.npz", x=x, y=y, track=number)
    np.savez(tmp_path / "g.npz", x=x, y=y, patient=number)
    tracks = load(DataSpec("image", (str(tmp_path / "t.npz"),), test_share=0.5), seed=0)
    patients = load(DataSpec("image", (str(tmp_path / "g.npz"),), group="patient", test_share=0.5), seed=0)
    assert len({*tracks.train.groups.tolist(), *tracks.test.groups.tolist()}) == 4
    assert len({*patients.train.groups.tolist(), *patients.test.groups.tolist()}) == 2


# -- splitting


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5), st.floats(0.1, 0.5))
def test_a_split_keeps_groups_together_and_every_class_on_both_sides(seed, classes, share):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, 300)
    groups = rng.integers(0, 60, 300)
    train, test = split_rows(y, groups, share=share, classes=list("abcde")[:classes], rng=rng)
    assert sorted([*train, *test]) == list(range(300))
    assert not set(groups[train]) & set(groups[test])
    assert set(y[train]) == set(y[test]) == set(range(classes))
    assert abs(len(test) / 300 - share) < 0.1


def test_a_split_by_class_meets_the_share_in_each_class():
    y = np.repeat([0, 1, 2], [100, 50, 3])
    train, test = split_rows(y, None, share=0.2, classes=["a", "b", "c"], rng=np.random.default_rng(0))
    assert np.bincount(y[test]).tolist() == [20, 10, 1]
    assert len(train) == 122


def test_classes_that_cannot_be_on_both_sides_are_named():
    with pytest.raises(InvalidInput, match=r"class 'rare' has 1 row"):
        split_rows(np.array([0, 0, 0, 1]), None, share=0.5, classes=["a", "rare"], rng=np.random.default_rng(0))
    with pytest.raises(InvalidInput, match=r"class 'b' is in one group only"):
        split_rows(
            np.array([0, 0, 1, 1]),
            np.array([0, 1, 2, 2]),
            share=0.5,
            classes=["a", "b"],
            rng=np.random.default_rng(0),
        )


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.integers(4, 200))
def test_a_sample_has_its_size_and_every_class(seed, count):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(4), rng.integers(0, 4, 96)])
    rows = sample_rows(y, count, rng=rng)
    assert len(rows) == len(set(rows.tolist())) == min(count, 100)
    assert set(y[rows]) == {0, 1, 2, 3}


def test_number_classes_sort_by_value_and_words_by_code_point():
    y, classes = to_classes(np.array([10, 9, 2]), where="y")
    assert (classes, y.tolist()) == (("2", "9", "10"), [2, 1, 0])
    assert to_classes(np.array([True, False]), where="y")[1] == ("false", "true")
    assert to_classes(np.array([1.0, 2.0]), where="y", names=("good", "bad"))[1] == ("good", "bad")


def test_who_sent_a_row_is_kept_beside_it_and_never_learned_from(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,from,y\n" + "".join(f"{i},{'north' if i % 3 else ''},{i % 2}\n" for i in range(40)))
    split = load(DataSpec("table", (str(path),), target="y", source="from"), seed=0)
    assert [column.name for column in split.train.columns] == ["a"]
    said = dict(zip(split.train.rows.tolist(), split.train.sources.tolist(), strict=True))
    assert all(source == ("north" if row % 3 else "missing") for row, source in said.items())
    assert split.train.take(np.arange(3)).sources.tolist() == split.train.sources[:3].tolist()
    other = load(DataSpec("table", (str(path),), target="y", drop=("from",)), seed=0)
    assert other.train.digest() != split.train.digest()
    with pytest.raises(InvalidInput, match="no column 'sender', the source"):
        load(DataSpec("table", (str(path),), target="y", source="sender"), seed=0)


def test_the_test_side_need_not_say_who_sent_it(tmp_path):
    (tmp_path / "a.csv").write_text("a,s,y\n" + "".join(f"{i},x,{i % 2}\n" for i in range(10)))
    (tmp_path / "b.csv").write_text("a,y\n" + "".join(f"{i},{i % 2}\n" for i in range(10)))
    spec = DataSpec("table", (str(tmp_path / "a.csv"),), (str(tmp_path / "b.csv"),), target="y", source="s")
    split = load(spec, seed=0)
    assert set(split.train.sources) == {"x"}
    assert set(split.test.sources) == {""}
    x = np.random.default_rng(0).integers(0, 255, (12, 4, 4), np.uint8)
    np.savez(
        tmp_path / "p.npz",
        x_train=x,
        y_train=np.arange(12) % 2,
        s_train=np.arange(12) % 3,
        x_test=x,
        y_test=np.arange(12) % 2,
    )
    pictures = load(DataSpec("image", (str(tmp_path / "p.npz"),), source="s"), seed=0)
    assert pictures.train.sources.tolist() == [str(i % 3) for i in range(12)]
    with pytest.raises(InvalidInput, match="no array"):
        load(DataSpec("image", (str(tmp_path / "p.npz"),), source="t"), seed=0)


def test_load_whole_gives_every_row_in_file_order_and_a_way_to_name_it(tmp_path):
    frame = pl.DataFrame({"a": [1.0, 2.0, 3.0], "y": ["p", "q", "q"], "who": ["n", "n", "s"]})
    frame.write_csv(tmp_path / "x.csv")
    whole = load_whole(DataSpec("table", (str(tmp_path / "x.csv"),), target="y", source="who"))
    assert whole.side.x[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert whole.side.rows.tolist() == [0, 1, 2]
    assert whole.side.sources.tolist() == ["n", "n", "s"]
    assert "row 2" in whole.locate(2)
