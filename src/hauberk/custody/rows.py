"""A row of a training set as bytes and a digest, the same whether it comes from an array or from named values.

A row has the features that the model was trained on, as float32 (little-endian, C order; a category as its code; no
negative zero), and the index of its class. A schema gives their meaning:

    {"kind": "table" or "image", "shape": of one row, "classes": names, "target": name, "columns": [{"name", "kind",
     "categories"}, …]}

The digest is SHA-256("hauberk row v1" 0x00 || SHA-256 of the canonical schema || class as uint64, big-endian ||
features). The same numbers under another schema have another digest.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput

DOMAIN = b"hauberk row v1\0"
MISSING = "missing"  # the loader's name for a missing category
_LARGEST = 3.4028234663852886e38


class UnknownCategoryError(InvalidInput):
    """A value that no row of the set can have: not among the categories of its column, or not a class."""

    def __init__(self, column: str, value: str) -> None:
        super().__init__(f"{value!r} is not among the values that {column!r} has in this set.")
        self.column = column
        self.value = value


@dataclass(frozen=True, slots=True)
class Schema:
    """The meaning of a row's numbers; `value` is the JSON form above."""

    value: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        *,
        kind: str,
        shape: Sequence[int],
        classes: Sequence[str],
        columns: Sequence[tuple[str, str, Sequence[str]]],
        target: str = "",
    ) -> Schema:
        """Return a schema. columns: (name, kind, categories) in the order of the features."""
        named = [{"name": name, "kind": kind_of, "categories": list(known)} for name, kind_of, known in columns]
        return cls(
            {
                "kind": kind,
                "shape": [int(side) for side in shape],
                "classes": list(classes),
                "target": target,
                "columns": named,
            }
        )

    @classmethod
    def read(cls, value: object) -> Schema:
        """Check the form. Raises InvalidInput."""
        wanted = {"kind": str, "shape": list, "classes": list, "target": str, "columns": list}
        if not isinstance(value, dict) or value.keys() != wanted.keys():
            raise InvalidInput(f"a row schema has the fields {', '.join(wanted)}.")
        sound = all(isinstance(value[name], kind) for name, kind in wanted.items())
        sound = sound and all(isinstance(side, int) and side > 0 for side in value["shape"])
        sound = sound and all(isinstance(name, str) for name in value["classes"])
        sound = sound and all(
            isinstance(column, dict) and column.keys() == {"name", "kind", "categories"}
            for column in value["columns"]
        )
        if not sound or (value["kind"] == "table" and [len(value["columns"])] != value["shape"]):
            raise InvalidInput("a field of the row schema has another form than expected.")
        return cls(value)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical schema."""
        return bytes.fromhex(canonical.digest(dict(self.value)))

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of their indices."""
        return list(self.value["classes"])

    def class_index(self, name: str) -> int:
        """Return the index of a class. Raises UnknownCategoryError."""
        if name not in self.value["classes"]:
            raise UnknownCategoryError(self.value["target"] or "the target", name)
        return self.classes.index(name)

    def features(self, values: Mapping[str, Any] | str) -> bytes:
        """Return a row's features as bytes: of a table from values by column, of a picture from base64.

        A column that is not of the schema is an error, unless it is the target. Raises InvalidInput for values that
        no row can have, UnknownCategoryError for a category that no row of this set has.
        """
        if isinstance(values, str):
            return self._picture(values)
        if self.value["kind"] != "table":
            raise InvalidInput("this set holds pictures: give one with --data FILE --row N.")
        names = [column["name"] for column in self.value["columns"]]
        absent = [name for name in names if name not in values]
        foreign = [name for name in values if name not in names and name != self.value["target"]]
        if absent or foreign:
            said = (
                f"no value for {absent[0]!r}" if absent else f"a column {foreign[0]!r} that the set does not have"
            )
            raise InvalidInput(f"the row has {said}; the set has: {', '.join(names)}.")
        numbers = [_number(column, values[column["name"]]) for column in self.value["columns"]]
        return struct.pack(f"<{len(numbers)}f", *numbers)

    def named(self, features: bytes) -> dict[str, Any] | str:
        """Return features in the form that `features` takes."""
        if self.value["kind"] != "table":
            return base64.b64encode(features).decode("ascii")
        numbers = struct.unpack(f"<{len(self.value['columns'])}f", features)
        return {
            column["name"]: column["categories"][int(number)] if column["kind"] == "category" else number
            for column, number in zip(self.value["columns"], numbers, strict=True)
        }

    def row_digest(self, features: bytes, label: int) -> bytes:
        """Return the 32-byte digest of a row."""
        return sha256(DOMAIN + self.digest + struct.pack(">Q", label) + features).digest()

    def _picture(self, text: str) -> bytes:
        try:
            data = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise InvalidInput("the picture is not base64.") from error
        if len(data) != 4 * math.prod(self.value["shape"]):
            raise InvalidInput(f"the picture has {len(data)} bytes, expected float32 of {self.value['shape']}.")
        return data


def _number(column: Mapping[str, Any], value: Any) -> float:  # noqa: ANN401 - a JSON value
    name = column["name"]
    if column["kind"] == "category":
        text = MISSING if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        if text not in column["categories"]:
            raise UnknownCategoryError(name, text)
        return float(column["categories"].index(text))
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InvalidInput(f"column {name!r} holds numbers, found {value!r}.")
    number = float(value) + 0.0  # no negative zero
    if not math.isfinite(number) or abs(number) > _LARGEST:
        raise InvalidInput(f"column {name!r} holds finite float32 numbers, found {value!r}.")
    return number
