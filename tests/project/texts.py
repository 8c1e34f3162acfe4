"""Two project files that are right, and how a test reads one that may not be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.project import load

IMAGES = """\
[project]
name = "digits"

[data]
kind = "image"
files = ["sklearn:digits"]

[model]
build = "model:build"

[[threats]]
kind = "evasion"
norm = "linf"
eps = "4/255"

[gate]
robust_accuracy = ">= 0.60"
"""

TABLE = """\
[project]
name = "loans"
seed = 7

[data]
kind = "table"
files = ["loans.csv"]
target = "risk"
group = "client"
drop = ["id"]

[model]
build = "model:build"

[[threats]]
name = "applicant"
kind = "evasion"
cost = 3

  [[threats.columns]]
  column = "amount"
  by = 500
  direction = "down"
  cost = 0.002

  [[threats.columns]]
  column = "purpose"
  cost = 1

[gate]
robust_accuracy = ">= 0.60"
"""


def read(folder: Path, text: str):
    (folder / "hauberk.toml").write_text(text, encoding="utf-8")
    return load(folder)


def complaints(folder: Path, text: str) -> list[tuple[int, str]]:
    """The lines and messages of the error that the text causes."""
    with pytest.raises(InvalidInput) as caught:
        read(folder, text)
    found = [re.fullmatch(r"hauberk\.toml:(\d+): (.*)", line) for line in str(caught.value).split("\n")]
    assert all(found), str(caught.value)
    return [(int(match[1]), match[2]) for match in found if match]


def line_of(text: str, needle: str) -> int:
    return next(number for number, line in enumerate(text.split("\n"), 1) if needle in line)


def edit(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)
