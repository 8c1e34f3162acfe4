"""The part of a key URI after its scheme, `//PLACE?OPTION=VALUE&...`, parsed strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from hauberk.core.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Place:
    """A parsed URI. host: with port, or "". path: without leading and trailing slashes. options: as given."""

    host: str
    path: str
    options: Mapping[str, str]

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        """Return a numeric option between `low` and `high`. Raises InvalidInput."""
        text = self.options.get(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise InvalidInput(
                f"{name}={text[:40]!r} in the keys' URI: expected a number from {low:g} to {high:g}."
            )
        return value


def read_place(scheme: str, rest: str, *, known: tuple[str, ...], form: str) -> Place:
    """Parse the part after `scheme:`.

    known: the accepted options. form: the syntax of the URI, for messages. Raises InvalidInput for an unknown
    or repeated option, and for a user name or password: URIs are logged and shown, so they must not hold secrets.
    """
    try:
        parts = urlsplit(f"{scheme}:{rest}")
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise InvalidInput(f"this {scheme} URI cannot be read: {error}. Write {form}.") from None
    if "@" in parts.netloc:
        raise InvalidInput(f"a {scheme} URI holds no user and no password, since it is shown. Write {form}.")
    if parts.fragment or not rest.startswith("//"):
        raise InvalidInput(f"this {scheme} URI cannot be read. Write {form}.")
    options = dict(pairs)
    strange = [name for name, _ in pairs if name not in known]
    if strange or len(options) != len(pairs):
        named = f"unknown option {strange[0][:40]!r}" if strange else "an option is given twice"
        raise InvalidInput(f"{scheme} URI: {named}; known: {', '.join(known)}. Write {form}.")
    return Place(parts.netloc, unquote(parts.path).strip("/"), options)
