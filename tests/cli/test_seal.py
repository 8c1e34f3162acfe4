"""The two commands: what they write, what they say, and the exit codes."""

from __future__ import annotations

import hashlib
import json

import pytest

from hauberk.cli.main import run


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HAUBERK_PASSPHRASE", "five words that are random")
    (tmp_path / "a[b].bin").write_bytes(b"payload" * 1000)
    return tmp_path


def answer(capsys):
    """Standard output is one JSON document and nothing else."""
    return json.loads(capsys.readouterr().out)


def test_a_file_goes_there_and_back(project, capsys):
    assert run(["seal", "a[b].bin", "--associated", "release 7", "--json"]) == 0
    said = answer(capsys)
    sealed = project / "a[b].bin.sealed"
    assert said["sha256"] == hashlib.sha256(sealed.read_bytes()).hexdigest()
    assert (said["key"], said["key_made"], said["plain_size"]) == ("data", True, 7000)
    assert b"payload" not in sealed.read_bytes()

    (project / "a[b].bin").rename(project / "original")
    assert run(["open", "a[b].bin.sealed", "--associated", "release 7", "--key", "data", "--json"]) == 0
    assert answer(capsys) == {"opened": "a[b].bin", "key": "data", "plain_size": 7000}
    assert (project / "a[b].bin").read_bytes() == (project / "original").read_bytes()


def test_people_are_told_where_it_went_and_that_a_key_was_made_once(project, capsys):
    for made in (True, False):
        assert run(["seal", "a[b].bin"]) == 0
        said = capsys.readouterr().out
        assert "a[b].bin.sealed" in said
        assert ("Back it up" in " ".join(said.split())) is made
    assert (project / "a[b].bin.sealed").exists()


def test_what_does_not_open_is_exit_code_1_and_leaves_nothing(project, capsys):
    run(["seal", "a[b].bin"])
    capsys.readouterr()
    assert run(["open", "a[b].bin.sealed", "--output", "out", "--associated", "wrong", "--json"]) == 1
    assert "associated data is not what it was sealed with" in answer(capsys)["error"]["message"]
    assert not (project / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["seal", "absent"], "there is no file absent"),
        (["seal", "a[b].bin", "--keys", "gopher:x"], "gopher"),
        (["open", "a[b].bin"], "give --output"),
        (["open", "a[b].bin", "--output", "x"], "not a sealed file"),
    ],
)
def test_bad_usage_is_exit_code_2_with_a_word_on_what_to_do(project, capsys, arguments, message):
    assert run([*arguments, "--json"]) == 2
    assert message in answer(capsys)["error"]["message"]
    assert not (project / "x").exists()


def test_a_slip_in_the_keys_name_makes_no_key(project, capsys):
    run(["seal", "a[b].bin"])
    capsys.readouterr()
    assert run(["seal", "a[b].bin", "--key", "dta", "--output", "x", "--json"]) == 2
    assert "data" in answer(capsys)["error"]["message"]
    assert not (project / "x").exists()


def test_what_of_a_folder_was_not_sealed_is_named(project, capsys):
    folder = project / "claims"
    (folder / ".git").mkdir(parents=True)
    for name in ("a.csv", ".hidden", ".git/config"):
        (folder / name).write_text("x")
    (folder / "link").symlink_to(project)
    assert run(["seal", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["sealed"] for row in told["files"]] == [str(project / "claims.sealed" / "a.csv.sealed")]
    assert told["passed_over"] == [str(folder / name) for name in (".git/config", ".hidden", "link")]
    assert run(["seal", str(folder)]) == 0
    assert ".hidden" in capsys.readouterr().out
