"""Markup for pictures: elements whose attributes and text are always escaped, so that no name can become code."""

from __future__ import annotations

import unicodedata

from markupsafe import Markup, escape


def visible(value: object) -> str:
    r"""Return `value` as text in which nothing is hidden.

    Control characters and those that reorder or hide text (Unicode Cc except newline and tab, Cf, Cs) become
    `\uXXXX`. Answers: a name that shows other than it is, such as by a right-to-left override, or that steers
    a terminal. Does not answer: letters of different scripts that look alike.
    """
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs"):
        return character
    return f"\\u{ord(character):04x}"


def attribute(value: object) -> str:
    """Return an attribute's text; coordinates are rounded to a tenth, which no eye can tell apart."""
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return visible(value)


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """Return one element. Attribute names take `_` for `-`, and a trailing `_` is dropped (`class_`).

    `name` and attribute names are literals of this package. An attribute that is None is left out.
    """
    written = Markup("").join(
        Markup(' {}="{}"').format(Markup(key.rstrip("_").replace("_", "-")), attribute(value))  # noqa: S704
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(child if isinstance(child, Markup) else escape(visible(child)) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, inner)  # noqa: S704 - a literal of ours
