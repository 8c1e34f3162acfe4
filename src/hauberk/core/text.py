"""Make untrusted text, such as names of files and columns, safe to show to a person."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from urllib.parse import quote

_SECRET_NAMES = re.compile(r"PASS|PIN|TOKEN|SECRET|KEY|CREDENTIAL|AUTH", re.IGNORECASE)
_SECRET_PLACES = re.compile(r"(://)[^/\s@]+(?=@)|(\bpin-value=)[^&;?\s'\"]+|(\bbearer\s+)[^\s'\"]+", re.IGNORECASE)
_SHORTEST = 4  # characters: shorter values occur in any text by chance


def visible(value: object) -> str:
    r"""Return `value` as text without hidden characters.

    Control characters and characters that reorder or hide text (Unicode Cc except newline and tab, Cf, Cs) become
    `\uXXXX`. Answers: a name that is displayed as another, such as by a right-to-left override, or that sends
    control sequences to a terminal. Does not answer: letters of different scripts that look alike.
    """
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else _code(c) for c in text
    )


def one_line(value: object) -> str:
    r"""Return `value` as one line: characters that are not printable, line breaks included, become `\uXXXX`.

    Answers, besides the threats of `visible`: a name that forges a line of its own in a list.
    """
    return "".join(c if c.isprintable() else _code(c) for c in str(value))


def _code(character: str) -> str:
    return f"\\u{ord(character):04x}"


def without_secrets(text: str, environ: Mapping[str, str], *, also: Collection[str] = ()) -> str:
    """Return `text` with "***" in place of secrets from the environment and secrets in known positions.

    Replaced are: values (4 characters or more) of variables whose names suggest a password, PIN, token, secret or key, and of
    the variables in `also`, in quoted form and line by line too; user names and passwords in URLs; values of pin-value;
    bearer tokens. Answers: library messages that quote their input. Does not answer: a secret that was read from a file or
    typed.
    """
    values = {v for name, v in environ.items() if name in also or _SECRET_NAMES.search(name)}
    # As it is, as messages quote it (`repr`, percent-encoding in URLs), and line by line, as in a key file.
    values |= {form for v in values for form in (repr(v)[1:-1], quote(v, safe=""), *v.splitlines())}
    for value in sorted(values, key=len, reverse=True):  # the longest first: one may contain another
        if len(value) >= _SHORTEST:
            text = text.replace(value, "***")
    return _SECRET_PLACES.sub(lambda found: f"{found[1] or found[2] or found[3]}***", text)
