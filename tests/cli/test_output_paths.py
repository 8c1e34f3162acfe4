"""Every option that names a file to write follows links and writes pipes through, found from the commands themselves."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import click
import numpy as np
import polars as pl
import pytest

from hauberk.cli._output import OutputPath
from hauberk.cli.main import cli, run

PROJECT = """
[project]
name = "loans"

[data]
kind = "table"
files = ["loans.csv"]
target = "paid"

[model]
build = "model:build"

[[threats]]
kind = "evasion"
cost = 4.0
columns = [{ column = "income", by = 4.0, cost = 1.0 }]

[evaluation]
rows = 20

[gate]
clean_accuracy = ">= 0.1"
"""
MODEL = "from sklearn.linear_model import LogisticRegression\n\ndef build():\n    return LogisticRegression()\n"
SCHEMA = 'version = 1\n\n[columns.income]\ntype = "float"\nmin = 40.0\n'

# command and option: the ending that its file must have, and the arguments; OUT is the path.
RECIPES = {
    ("attack", "--report"): (".html", ["attack", "model:build", "--rows", "5", "--report", "OUT"]),
    ("report", "--output"): (".html", ["report", "--output", "OUT"]),
    ("data profile", "--html"): (".html", ["data", "profile", "loans.csv", "--html", "OUT"]),
    ("data infer", "--output"): (".toml", ["data", "infer", "loans.csv", "--output", "OUT"]),
    ("data verify", "--quarantine"): (
        ".csv",
        ["data", "verify", "loans.csv", "--schema", "schema.toml", "--quarantine", "OUT"],
    ),
    ("data verify", "--clean"): (
        ".csv",
        ["data", "verify", "loans.csv", "--schema", "schema.toml", "--clean", "OUT"],
    ),
    ("data screen", "--out"): (".json", ["data", "screen", "loans.csv", "--target", "paid", "--out", "OUT"]),
    ("data repair", "--out"): (
        ".csv",
        ["data", "repair", "loans.csv", "--target", "paid", "--out", "OUT", "--quarantine", "ELSE"],
    ),
    ("data repair", "--quarantine"): (
        ".csv",
        ["data", "repair", "loans.csv", "--target", "paid", "--out", "ELSE", "--quarantine", "OUT"],
    ),
    ("data history", "--svg"): (".svg", ["data", "history", "--svg", "OUT"]),
    ("data history", "--html"): (".html", ["data", "history", "--html", "OUT"]),
    ("data prove", "--output"): (
        ".json",
        ["data", "prove", "--data", "loans.csv", "--row", "3", "--output", "OUT"],
    ),
    ("ledger prove", "--output"): (".tlog-proof", ["ledger", "prove", "0", "--output", "OUT"]),
    ("seal", "--output"): ("", ["seal", "loans.csv", "--output", "OUT"]),
    ("open", "--output"): ("", ["open", "loans.csv.sealed", "--output", "OUT"]),
}
# Options and arguments that name what is read, or a folder that is worked in; everything else must be an OutputPath.
READ = {
    "folder", "project", "ca", "cert", "cert_key", "release", "schema", "proof", "ledger", "since", "source",
    "paths", "places",
}  # fmt: skip


def commands(command=cli, path=()):
    if isinstance(command, click.Group):
        for name in command.list_commands(None):
            yield from commands(command.get_command(None, name), (*path, name))
    else:
        yield " ".join(path), command


def test_every_option_that_writes_is_tested_here():
    found = {
        (name, max(option.opts, key=len))
        for name, command in commands()
        for option in command.params
        if isinstance(option.type, OutputPath)
    }
    assert found == set(RECIPES)


def test_every_other_path_is_read_or_a_folder():
    others = {
        option.name
        for _, command in commands()
        for option in command.params
        if isinstance(option.type, click.Path) and not isinstance(option.type, OutputPath)
    }
    assert others <= READ, "an option that names a file to write takes the type OutputPath"


@pytest.fixture(scope="module")
def project(tmp_path_factory, cheap_keys):
    folder = tmp_path_factory.mktemp("project")
    rng = np.random.default_rng(3)
    income = rng.normal(50, 9, 240).round(2)
    paid = np.where(income + rng.normal(0, 6, 240) > 48, "yes", "no")
    pl.DataFrame({"income": income, "age": rng.integers(20, 70, 240), "paid": paid}).write_csv(folder / "loans.csv")
    (folder / "model.py").write_text(MODEL)
    (folder / "hauberk.toml").write_text(PROJECT)
    (folder / "schema.toml").write_text(SCHEMA)
    before = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HAUBERK_PASSPHRASE", "correct horse")
        patch.setenv("HAUBERK_STATE", str(folder / "state.json"))
        cheap_keys(folder / ".hauberk" / "keyring")
        assert run(["protect", "--json"]) in (0, 3)
        assert run(["seal", "loans.csv", "--json"]) == 0
        yield folder
    assert Path.cwd() == before


@pytest.mark.parametrize("recipe", RECIPES, ids=" ".join)
@pytest.mark.usefixtures("project")
def test_a_pipe_is_written_through_and_a_link_is_followed(tmp_path, recipe):
    ending, arguments = RECIPES[recipe]
    pipe, link = (tmp_path / f"{way}{ending}" for way in ("pipe", "link"))

    def write(out):
        filled = {"OUT": str(out), "ELSE": str(tmp_path / f"else-{out.name}")}
        assert run([filled.get(part, part) for part in arguments]) in (0, 1, 3)

    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write(pipe)
    reader.join(timeout=20)
    assert got, "nothing was written to the pipe"
    assert stat.S_ISFIFO(pipe.lstat().st_mode)

    (tmp_path / "target").write_bytes(b"")
    link.symlink_to("target")
    if recipe[0] in ("data repair", "data infer"):  # they replace no file that is there
        (tmp_path / "target").unlink()
    write(link)
    assert link.is_symlink()
    written = (tmp_path / "target").read_bytes()
    assert written
    if recipe[0] not in ("seal", "attack", "data screen"):  # a nonce, times and seconds differ
        assert written == got[0]
