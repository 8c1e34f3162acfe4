"""Sources of a passphrase: an environment variable, a file named by a variable, or a prompt.

The variables are for unattended machines; prefer the file, because every child process can read a variable.
"""

from __future__ import annotations

import getpass
import sys
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path

from hauberk.core.errors import InvalidInput

VARIABLE = "HAUBERK_PASSPHRASE"
NEW_VARIABLE = "HAUBERK_NEW_PASSPHRASE"
PIN_VARIABLE = "HAUBERK_PIN"
SHORTEST = 8  # characters
_WORDS = {NEW_VARIABLE: "New passphrase", PIN_VARIABLE: "PIN of the token"}
_LONGEST = 4096  # bytes; more is a wrong file

Prompt = Callable[[str], str]


def passphrase_from(
    environ: Mapping[str, str], prompt: Prompt | None, *, variable: str = VARIABLE
) -> Callable[[], bytes]:
    """Return a source of the passphrase: `variable`, else the file named by `variable`_FILE, else `prompt`.

    prompt: shows its text and returns what was typed; None when there is no terminal. The second call of
    the source prompts for a confirmation. One newline at the end of the file is not part of the passphrase.
    Calling the source raises InvalidInput for an empty passphrase, an unreadable file, or when there is no source.
    """
    asked = 0

    def source() -> bytes:
        nonlocal asked
        if variable in environ:
            return _usable(environ[variable].encode("utf-8", "surrogateescape"), f"the variable {variable}")
        if f"{variable}_FILE" in environ:
            return _read(Path(environ[f"{variable}_FILE"]), f"{variable}_FILE")
        if prompt is None:
            raise InvalidInput(
                f"a passphrase is needed: set {variable}, or name a file that holds it in {variable}_FILE, "
                "or run in a terminal to be asked."
            )
        asked += 1
        word = _WORDS.get(variable, "Passphrase")
        typed = prompt(f"{word}: " if asked == 1 else f"{word}, once more: ")
        return _usable(typed.encode("utf-8", "surrogateescape"), "the passphrase")

    return source


def terminal_prompt() -> Prompt | None:
    """Return a prompt without echo, or None when standard input is not a terminal."""
    if not (sys.stdin and sys.stdin.isatty()):
        return None

    def prompt(text: str) -> str:
        try:
            return getpass.getpass(text)
        except EOFError:
            raise InvalidInput("no passphrase was typed.") from None

    return prompt


def new_passphrase(source: Callable[[], bytes]) -> bytes:
    """Call `source` twice and return a passphrase for a new keyring.

    Raises InvalidInput when the two differ, or for fewer than 8 characters. Argon2id makes each guess expensive, but
    does not protect a passphrase from a word list.
    """
    passphrase = source()
    if source() != passphrase:
        raise InvalidInput("the two passphrases differ. Nothing was written; run the same command again.")
    characters = len(passphrase.decode("utf-8", "replace"))
    if characters < SHORTEST:
        raise InvalidInput(
            f"the passphrase has {characters} characters, and at least {SHORTEST} are needed: "
            "take five random words."
        )
    return passphrase


def _read(path: Path, variable: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST + 3)
    except OSError as error:
        raise InvalidInput(f"cannot read {path}, named by {variable}: {error.strerror or error}.") from error
    data = data.removesuffix(b"\n").removesuffix(b"\r") if data.endswith(b"\n") else data
    return _usable(data, f"the file {path}, named by {variable},")


def _usable(data: bytes, where: str) -> bytes:
    if not data:
        raise InvalidInput(f"{where} is empty: a passphrase is needed.")
    if len(data) > _LONGEST:
        raise InvalidInput(f"{where} holds more than {_LONGEST} bytes: that is not a passphrase.")
    try:
        # Keyboards send "é" as one code point or as two: both are the same passphrase (RFC 8265 §4.2).
        return unicodedata.normalize("NFC", data.decode("utf-8")).encode("utf-8")
    except UnicodeDecodeError:
        return data
