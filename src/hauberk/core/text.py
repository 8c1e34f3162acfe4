"""Text from elsewhere, such as names of files and columns, made fit to be shown to a person."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from urllib.parse import quote

_SECRET_NAMES = re.compile(r"PASS|PIN|TOKEN|SECRET|KEY|CREDENTIAL|AUTH", re.IGNORECASE)
_SECRET_PLACES = re.compile(r"(://)[^/\s@]+(?=@)|(\bpin-value=)[^&;?\s'\"]+|(\bbearer\s+)[^\s'\"]+", re.IGNORECASE)
_SHORTEST = 4  # characters: what is shorter stands in any text by chance, and says little


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


def without_secrets(text: str, environ: Mapping[str, str], *, also: Collection[str] = ()) -> str:
    """Return `text` with "***" for the secrets of the environment and for those that stand at known places.

    Secrets are the values, of 4 characters or more, of variables whose names speak of passwords, PINs, tokens, secrets or
    keys, and of those named in `also`, also quoted and line by line; names and passwords in addresses; values of pin-value;
    bearer tokens. Answers: messages of libraries that quote what they were given. Does not answer: a secret that was read from
    a file or typed.
    """
    values = {v for name, v in environ.items() if name in also or _SECRET_NAMES.search(name)}
    # As it is, as messages quote it (`repr`, and percent signs in addresses), and line by line, as a key file has them.
    values |= {form for v in values for form in (repr(v)[1:-1], quote(v, safe=""), *v.splitlines())}
    for value in sorted(values, key=len, reverse=True):  # the longest first: one may contain another
        if len(value) >= _SHORTEST:
            text = text.replace(value, "***")
    return _SECRET_PLACES.sub(lambda found: f"{found[1] or found[2] or found[3]}***", text)
