"""Loading: digests, sides, samples, sources, and declarations that cannot be met."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest

from hauberk.core.errors import InvalidInput
from hauberk.data.reading.formats import delimited, parquet
from hauberk.data.reading.loading import DataSpec, fingerprint, load, load_whole


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
