"""What writers of bad files do: nothing of it passes, and each is named."""

from __future__ import annotations

import gzip

import polars as pl
import pytest

from hauberk.core.errors import InvalidInput
from hauberk.data.verification.api import infer, verify
from hauberk.data.verification.schema import parse_schema

ONE = 'version = 1\n[table]\nother_columns = "allow"\n[columns.a]\ntype = "integer"\n'


def wrong(place, text=ONE):
    done = verify(place, parse_schema(text)).rules
    return {one.rule: [sample.row for sample in one.samples] for one in done.results if one.violations}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\n1,5,7\n2,3\n", "line 2 has 3 values"),
        ("a,b,c\n1,5,7\n2,3,4\n1,2,3,4\n", "line 4 has 4 values"),
        ("a,b,c\n1,5,7\n2,3\n", "line 3 has 2 values"),
        ("a,b\r1,2\r3,4\r", "CR alone"),
        ('a,b\n1,"x\n2,z\n', "damaged"),
    ],
)
def test_ragged_lines_are_named_though_a_rule_asks_for_one_column(tmp_path, content, words):
    (tmp_path / "x.csv").write_bytes(content.encode())
    with pytest.raises(InvalidInput, match=words):
        wrong(tmp_path / "x.csv")
    with pytest.raises(InvalidInput):
        infer(tmp_path / "x.csv")


def test_a_packed_file_that_ends_early_is_named(tmp_path):
    packed = gzip.compress(b"a,b\n" + b"".join(b"%d,2\n" % n for n in range(50_000)))
    (tmp_path / "x.csv.gz").write_bytes(packed[:-200])
    with pytest.raises(InvalidInput, match="truncated"):
        wrong(tmp_path / "x.csv.gz")


def test_statistics_that_lie_hide_no_row(tmp_path):
    path = tmp_path / "x.parquet"
    pl.DataFrame({"a": [1, 2, 3, 777_777]}).write_parquet(path, compression="uncompressed")
    content, high = path.read_bytes(), (777_777).to_bytes(8, "little")
    values = content.index(high) + 8
    lying = content[:values] + content[values:].replace(high, (5).to_bytes(8, "little"))
    assert lying != content
    path.write_bytes(lying)
    assert wrong(path, ONE + "max = 10\n") == {"a: range": [3]}
    assert "max = 777777" in infer(path)
    done = verify(
        path, parse_schema(ONE + "max = 10\n"), quarantine=tmp_path / "q.parquet", clean=tmp_path / "c.parquet"
    )
    assert (done.split.quarantined, done.split.clean) == (1, 3)


def test_partitions_are_named_as_their_writers_mean_it(tmp_path):
    for name in ("k=a%2Fb", "k=__HIVE_DEFAULT_PARTITION__"):
        (tmp_path / "h" / name).mkdir(parents=True)
        pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "h" / name / "x.parquet")
    rule = ONE + '[columns.k]\ntype = "text"\nallowed = ["a/b"]\n'
    assert wrong(tmp_path / "h", rule) == {"k: null": [0]}
