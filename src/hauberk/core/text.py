"""Text from elsewhere, such as names of files and columns, made fit to be shown to a person."""

from __future__ import annotations

import unicodedata


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
