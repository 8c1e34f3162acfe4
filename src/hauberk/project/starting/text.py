"""The text of the commented project file that `hauberk init` writes.

No I/O. Settings that the data suggest are written; settings that a person has to decide are comments.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hauberk.core.columns import Column, ColumnKind

# Names of columns that people cannot or would not change: no default budget includes them.
_FIXED = ("age", "sex", "gender", "race", "ethnic", "birth", "country", "native", "id", "fnlwgt", "weight_of_row")
_MOVED = 3  # columns in the first budget
_SHOWN = 12  # columns offered as comments


@dataclass(frozen=True, slots=True)
class Seen:
    """A description of the inspected data.

    files, test_files: as written in the project file. rows: of all files. classes: names, in order. majority:
    share of the largest class. shape: of one picture, (channels, height, width); () for a table. columns: of a
    table, without target and group. group: a guess, "" when there is none. notes: what a person should know.
    """

    kind: Literal["image", "table"]
    files: tuple[str, ...]
    rows: int
    classes: tuple[str, ...]
    majority: float
    test_files: tuple[str, ...] = ()
    target: str = ""
    group: str = ""
    shape: tuple[int, ...] = ()
    columns: tuple[Column, ...] = ()
    drop: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


def project_file(seen: Seen, *, name: str) -> str:
    """Return the text of `hauberk.toml`."""
    parts = [_HEAD.format(name=quoted(name)), _data(seen), _MODEL]
    parts.append(_image_threat(seen) if seen.kind == "image" else _table_threat(seen))
    parts += [_OTHER_THREATS, _training(seen), _gate(seen), _TAIL]
    return "\n".join(parts)


def quoted(text: str) -> str:
    """Return a TOML basic string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def listed(texts: Iterable[str]) -> str:
    """Return a TOML array of strings on one line."""
    return "[" + ", ".join(quoted(text) for text in texts) + "]"


def rounded(value: float) -> float:
    """Return `value` > 0 rounded down to one significant digit, so that it is readable and within the range."""
    power = 10.0 ** math.floor(math.log10(value))
    return float(f"{math.floor(value / power + 1e-9) * power:.1g}")


_HEAD = """\
# The declarations of this project: its data, its model, who may attack it, and what is good enough to release.
# `hauberk protect` does the rest. An unknown key is an error, so nothing is ignored silently.

[project]
name = {name}
seed = 0                        # of all random choices: the same seed gives the same model
"""

_MODEL = """\
[model]
# One of three ways. First: `build(spec)` in model.py returns an untrained model, and Hauberk trains it.
build = "model:build"
# Second: a trained model; weights are hardened by fine-tuning, an ONNX file is assessed as it is.
# weights = "model.safetensors"  # beside `build`
# onnx = "model.onnx"            # instead of `build`
# Third: the team's own training function, instead of `build`.
# train = "model:train"
"""

_OTHER_THREATS = """\
# Other adversaries; declare any that you want measured.
# [[threats]]
# kind = "poisoning"
# share = 0.05                  # who controls 5 % of the training rows
# [[threats]]
# kind = "extraction"
# queries = 10000               # who copies the model with this many queries
# [[threats]]
# kind = "inference"
# advantage = 0.1               # who infers whether a row was in the training data
"""

_TAIL = """\
[release]
seal = true                     # the model's files are encrypted at rest; false leaves them readable

[keys]
uri = "keyring:.hauberk/keyring"  # encrypted under your passphrase; or awskms:, vault:, pkcs11:, oskeyring: (docs/keys.md)
signing = "ed25519"             # or "ecdsa-p256", which AWS KMS needs
"""


def _data(seen: Seen) -> str:
    what = (
        f"{seen.rows:,} pictures of {' x '.join(map(str, seen.shape))} (channels, height, width)"
        if seen.kind == "image"
        else f"{seen.rows:,} rows, {len(seen.columns)} columns besides the target"
    )
    lines = ["[data]", f"# {what}; {len(seen.classes)} classes, the largest with {seen.majority:.0%} of the rows."]
    lines += [f"# {_one_line(note)}" for note in seen.notes]
    lines += [f"kind = {quoted(seen.kind)}", f"files = {listed(seen.files)}"]
    if seen.test_files:
        lines.append(f"test_files = {listed(seen.test_files)}")
    else:
        lines.append("test_share = 0.2                # held out for testing, the same rows at every run")
        lines.append('# test_files = ["test.parquet"]   # or separate files, instead of test_share')
    if seen.target:
        lines.append(f"target = {quoted(seen.target)}")
    if seen.group:
        lines.append(f"group = {quoted(seen.group)}  # rows of one group are never on both sides of the split")
    else:
        lines.append('# group = "client"              # rows of one group are never on both sides of the split')
    if seen.drop:
        lines.append(f"drop = {listed(seen.drop)}")
    elif seen.kind == "table":
        lines.append('# drop = ["id"]                 # columns that the model must not see')
    if seen.kind == "image":
        more = ", ..." if len(seen.classes) > 3 else ""
        lines.append(
            f"# labels = {listed(seen.classes[:3])[:-1]}{more}]  # names of the classes 0, 1, 2, in this order"
        )
    lines.append("# limit = 1000                  # read this many rows only, for a quick trial")
    return "\n".join(lines) + "\n"


def _image_threat(seen: Seen) -> str:
    small = bool(seen.shape) and max(seen.shape[1:]) <= 16
    eps, why = (
        ("0.1", "in pixel units of [0, 1]") if small else ('"8/255"', "8 of the 255 grey levels of each pixel")
    )
    return f"""\
# Who attacks, and how far they can go. The model is hardened to the evasion threats and attacked within them.
[[threats]]
kind = "evasion"                # inputs are changed when a prediction is made
norm = "linf"                   # every pixel may change by `eps`; "l2" bounds the whole change
eps = {eps:<25} # {why}
"""


def _table_threat(seen: Seen) -> str:
    budgets = [(column, _by(column)) for column in seen.columns]
    numbers = [column for column, by in budgets if by is not None and not _fixed(column.name)]
    numbers = numbers or [column for column, by in budgets if by is not None]
    numbers.sort(key=lambda column: column.kind is not ColumnKind.NUMBER)  # stable: fine-grained ones come first
    moved = numbers[:_MOVED]
    changeable = [column for column, by in budgets if by is not None or len(column.categories) > 1]
    offered = [column for column in changeable if column not in moved][:_SHOWN]
    if not moved:  # a table of categories only
        moved, offered = offered[:_MOVED], offered[_MOVED:]
    lines = [
        "# Who attacks, and how far they can go: which columns can be changed before the model sees them, by how",
        "# much (in the column's own unit, here about a tenth of its range), and at what cost. Think of the person",
        "# or program that fills in the form: keep what they can change, leave out what is checked elsewhere.",
        "[[threats]]",
        'kind = "evasion"',
        "# cost = 2                      # what one row's changes may cost in all, when columns have a `cost`",
        "columns = [",
        *(f"  {_budget(column)}" for column in moved),
        *(f"  # {_budget(column)}" for column in offered),
        "]",
    ]
    return "\n".join(lines) + "\n"


def _by(column: Column) -> float | None:
    """Return a tenth of the range, rounded, or None for a column without a numeric range."""
    span = column.high - column.low
    if column.kind is ColumnKind.CATEGORY or not span > 0 or not math.isfinite(span):
        return None
    if column.kind is ColumnKind.INTEGER:
        return max(1.0, rounded(span / 10)) if span >= 1 else None
    return rounded(span / 10)


def _budget(column: Column) -> str:
    by = _by(column)
    name = f"column = {quoted(column.name)}"
    if column.kind is ColumnKind.CATEGORY:
        return f"{{{name}}},  # any other of its {len(column.categories)} values"
    return f"{{{name}, by = {by:.10g}}},  # seen: {column.low:g} to {column.high:g}"


def _fixed(name: str) -> bool:
    words = "".join(c if c.isalnum() else " " for c in name.lower()).split()
    return any(word in _FIXED for word in words) or any(len(part) > 4 and part in name.lower() for part in _FIXED)


def _training(seen: Seen) -> str:
    augment = (
        '# augment = "shift"             # move training pictures by a pixel or two\n'
        if seen.kind == "image"
        else ""
    )
    attacks = (
        '[{name = "pgd", steps = 40, restarts = 1}, {name = "square", queries = 500}]'
        if seen.kind == "image"
        else '[{name = "evolutionary", generations = 50}]  # longer than the defaults for the model'
    )
    return f"""\
[training]
method = "auto"                 # the hardening method; see `hauberk controls`
# minutes = 10                  # determines method and epochs; instead of epochs
# epochs = 30
# batch = 128
# learning_rate = 0.003
{augment}# device = "auto"               # "cpu", "cuda"; auto takes a GPU when there is one

[evaluation]
rows = 500                      # test rows that are attacked; more rows take longer and are more precise
# attacks = {attacks}
"""


def _gate(seen: Seen) -> str:
    """Return rules that any useful model meets: a start, to be raised as the use requires."""
    chance = 1 / len(seen.classes)
    if seen.kind == "table":
        clean, robust = seen.majority, max(chance, 0.9 * seen.majority)
        why = f"Always guessing the largest class is right for {seen.majority:.0%} of the rows: ask for more."
    else:
        clean, robust = max(0.7, seen.majority), max(0.3, chance)
        why = "These are a start: raise them to what the use of the model needs."
    return f"""\
# Rules for a release. Each rule reads evidence of this run; a rule without evidence fails.
# {why}
[gate]
clean_accuracy = ">= {_hundredths(clean):.2f}"
robust_accuracy = ">= {_hundredths(robust):.2f}"     # a row counts only if it is right under every attack
"""


def _hundredths(value: float) -> float:
    return math.floor(value * 100 + 1e-9) / 100


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def summary(columns: Sequence[Column]) -> str:
    """Return "12 numbers, 3 whole numbers, 2 categories" for the columns of a table."""
    words = {ColumnKind.NUMBER: "numbers", ColumnKind.INTEGER: "whole numbers", ColumnKind.CATEGORY: "categories"}
    counts = {kind: sum(column.kind is kind for column in columns) for kind in words}
    return ", ".join(f"{counts[kind]} {word}" for kind, word in words.items() if counts[kind]) or "none"
