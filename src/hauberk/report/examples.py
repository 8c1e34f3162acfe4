"""Example inputs with their adversarial versions, read from the artifact that evidence names.

The artifact comes from another step, so it is not trusted: only PNG pictures are accepted, and they are re-encoded;
names are escaped where they are shown; damaged or missing parts are reported.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hauberk.core import canonical
from hauberk.core.errors import HauberkError, NotProven
from hauberk.records.view import Measured, finite, mapping, mappings, text

OUTPUT = "examples.json"
SHOWN = 4
"""Examples of one model that a page shows; the artifact keeps the rest."""
_MAGIC = b"\x89PNG\r\n\x1a\n"
_LARGEST = 1_000_000  # bytes of one picture: an example is a thumbnail, and the page has to stay small


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG as a data URI, and its size in pixels."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Side:
    """The model's answer on one input: class, confidence in [0, 1] or None, the picture or None."""

    prediction: str
    confidence: float | None
    picture: Picture | None


@dataclass(frozen=True, slots=True)
class Example:
    """One input and its adversarial version."""

    row: int
    label: str
    before: Side
    after: Side
    difference: Picture | None
    linf: float | None
    l2: float | None
    changes: tuple[Mapping[str, Any], ...]
    cost: float | None

    @property
    def fooled(self) -> bool:
        """Whether the attack turned a right answer into a wrong one."""
        return self.before.prediction == self.label != self.after.prediction


@dataclass(frozen=True, slots=True)
class Examples:
    """The examples of one model. missing: why there are none, or ""."""

    kind: str
    all: tuple[Example, ...]
    missing: str

    @property
    def shown(self) -> tuple[Example, ...]:
        """The examples that a page shows."""
        return self.all[:SHOWN]


def read(measured: Measured | None, get: Callable[[str], bytes]) -> Examples:
    """Return the examples of one model's evidence; `missing` says why if they are missing or damaged. Does not raise."""
    digest = measured.outputs.get(OUTPUT) if measured else None
    if not digest:
        return Examples("", (), "no evidence")
    try:
        document = mapping(canonical.decode(verified(get, digest), what=f"artifact {digest[:12]}"))
    except HauberkError as error:
        return Examples("", (), f"no evidence: {error}")
    found = tuple(_example(item) for item in mappings(document.get("examples")))
    return Examples(text(document, "kind"), found, "" if found else "no evidence: the artifact holds no examples")


def beside(one: Examples, other: Examples) -> Examples:
    """Return `one` with the inputs that `other` shares first, in the order of their rows, to be compared side by side."""
    common = {example.row for example in other.all}
    ordered = sorted(one.all, key=lambda example: (example.row not in common, example.row))
    return replace(one, all=tuple(ordered))


def verified(get: Callable[[str], bytes], digest: str) -> bytes:
    """Return an artifact whose digest is the one in its evidence. Raises NotProven if it is not."""
    data = get(digest)
    if canonical.sha256(data) != digest:
        raise NotProven(f"artifact {digest[:12]} is not what its evidence names: its digest differs.")
    return data


def _example(item: Mapping[str, Any]) -> Example:
    difference = mapping(item.get("difference"))
    row = item.get("row")
    return Example(
        row=row if isinstance(row, int) else -1,
        label=text(item, "label"),
        before=_side(mapping(item.get("before"))),
        after=_side(mapping(item.get("after"))),
        difference=picture(difference.get("png")),
        linf=finite(difference.get("linf")),
        l2=finite(difference.get("l2")),
        changes=tuple(mappings(item.get("changes"))),
        cost=finite(item.get("cost")),
    )


def _side(value: Mapping[str, Any]) -> Side:
    return Side(text(value, "prediction"), finite(value.get("confidence")), picture(value.get("png")))


def picture(encoded: object) -> Picture | None:
    """Return a PNG given in base64, or None for anything else.

    Answers: markup or another format smuggled into a data URI (the bytes are decoded strictly, must start with the
    PNG signature and an IHDR chunk, and are encoded again). Does not answer: flaws in a browser's PNG decoder.
    """
    if not isinstance(encoded, str) or len(encoded) > _LARGEST * 2:
        return None
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(data) > _LARGEST or len(data) < 33 or data[:8] != _MAGIC or data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", data[16:24])
    if not (0 < width <= 4096 and 0 < height <= 4096):
        return None
    return Picture("data:image/png;base64," + base64.b64encode(data).decode("ascii"), width, height)
