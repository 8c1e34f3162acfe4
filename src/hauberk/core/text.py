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
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else _code(c) for c in text
    )


def one_line(value: object) -> str:
    r"""Return `value` as text that is one line: what `str.isprintable` refuses, line breaks too, becomes `\uXXXX`.

    Answers, beside what `visible` does: a name that forges a line of its own in a list.
    """
    return "".join(c if c.isprintable() else _code(c) for c in str(value))


def _code(character: str) -> str:
    return f"\\u{ord(character):04x}"
