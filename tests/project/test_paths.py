"""Paths of a project file: relative to its folder, with ~ and variables."""

from __future__ import annotations

from hauberk.project.paths import existing
from hauberk.project.problems import Problems


def found(text, folder):
    problems = Problems("x.toml", {})
    return existing(problems, ("data", "files", 0), text, folder), [words for _, words in problems.found]


def test_a_relative_path_starts_at_the_projects_folder(tmp_path):
    (tmp_path / "a.csv").write_text("x")
    assert found("a.csv", tmp_path) == (tmp_path / "a.csv", [])
    assert found("./a.csv", tmp_path / ".")[0] == tmp_path / "a.csv"


def test_a_variable_and_a_home_are_expanded(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("x")
    monkeypatch.setenv("SOME_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for text in ("$SOME_DATA/a.csv", "${SOME_DATA}/a.csv", "~/a.csv"):
        assert found(text, tmp_path / "elsewhere") == (tmp_path / "a.csv", [])


def test_what_is_not_there_is_noted_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("SOME_DATA", raising=False)
    assert found("b.csv", tmp_path) == (None, [f"[data] files: there is no file {tmp_path / 'b.csv'}."])
    path, (words,) = found("$SOME_DATA/b.csv", tmp_path)
    assert path is None
    assert "export SOME_DATA=FOLDER" in words
