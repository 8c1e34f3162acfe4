"""Places: the files that a name means, their hive keys, and what is refused."""

import pytest

from hauberk.core.errors import InvalidInput, Unavailable
from hauberk.data.verification.places import found, state


def parts(place):
    with found(str(place)) as files:
        return {part.name: dict(part.keys) for part in files}


@pytest.fixture
def partitioned(tmp_path):
    for name in ("year=2024/a.csv", "year=__HIVE_DEFAULT_PARTITION__/b.csv", "city=S%C3%A3o%20Paulo/c.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n1\n")
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / ".hidden.csv").write_text("x\n1\n")
    return tmp_path


def test_hive_keys_are_decoded_and_markers_and_hidden_files_are_skipped(partitioned):
    assert parts(partitioned) == {
        "city=S%C3%A3o%20Paulo/c.csv": {"city": "São Paulo"},
        "year=2024/a.csv": {"year": "2024"},
        "year=__HIVE_DEFAULT_PARTITION__/b.csv": {"year": None},
    }


def test_a_pattern_names_the_files_that_match_in_order(partitioned):
    assert list(parts(partitioned / "year=*" / "*.csv")) == [
        "year=2024/a.csv",
        "year=__HIVE_DEFAULT_PARTITION__/b.csv",
    ]


def test_remote_files_are_read_from_a_copy_that_is_gone_afterwards():
    import fsspec

    fsspec.filesystem("memory").pipe("/places/a.csv", b"x\n1\n")
    with found("memory://places/a.csv") as files:
        copy = files[0].path
        assert copy.read_bytes() == b"x\n1\n"
    assert not copy.exists()


@pytest.mark.parametrize(
    ("place", "error", "words"),
    [
        ("", InvalidInput, "name is empty"),
        ("/dev/null", InvalidInput, "a pipe or a device"),
        ("/nowhere/*.csv", InvalidInput, "holds no files"),
        ("memory://absent/a.csv", InvalidInput, "nothing to read"),
        ("nosuch://a", InvalidInput, "nothing to read"),
    ],
)
def test_what_names_no_file_is_refused(place, error, words):
    with pytest.raises(error, match=words), found(place):
        pass
    assert issubclass(Unavailable, Exception)


def test_a_rewritten_file_has_another_state(tmp_path):
    path = tmp_path / "a"
    path.write_text("one")
    before = state(path)
    assert state(path) == before
    path.unlink()
    path.write_text("two")
    assert state(path) != before
    path.unlink()
    with pytest.raises(InvalidInput, match="cannot read"):
        state(path)
