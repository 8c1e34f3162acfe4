"""The user's default passphrase: a file in the configuration folder, made when needed.

A first run in a script cannot prompt. A random passphrase in the user's configuration folder keeps the project's
folder, which is copied, committed and backed up, free of anything that opens its keys.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from hauberk.core.disk import Disk
from hauberk.custody.keys.passphrase import VARIABLE, Prompt, passphrase_from, terminal_prompt

_BYTES = 32


def _place_of(environ: Mapping[str, str]) -> Path:
    """Return the user's own passphrase file: `hauberk/passphrase` in the XDG configuration folder."""
    base = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or Path.home()) / ".config"
    return Path(base) / "hauberk" / "passphrase"


def standing_passphrase(
    environ: Mapping[str, str] | None = None,
    prompt: Prompt | None = None,
    *,
    make: Callable[[Path], None] | None = None,
    disk: Disk | None = None,
) -> Callable[[], bytes]:
    """Return a source of the passphrase: the two variables, else the user's own file, else a prompt.

    make: if there is none of these and no terminal, a random passphrase is written to the user's own file, readable
    only by its owner, and this is called with the path, to report it; None never writes one. Answers: a
    project folder that is copied or stolen alone. Does not answer: an attacker who reads the user's home.
    """
    environ = os.environ if environ is None else environ
    prompt = terminal_prompt() if prompt is None else prompt
    place = _place_of(environ)

    def source() -> bytes:
        if VARIABLE in environ or f"{VARIABLE}_FILE" in environ or (prompt and not place.exists()):
            return told()
        if not place.exists() and make is not None:
            (disk or Disk()).write(place, secrets.token_urlsafe(_BYTES).encode("ascii") + b"\n", mode=0o600)
            make(place)
        if place.exists():
            return passphrase_from({f"{VARIABLE}_FILE": str(place)}, None)()
        return told()

    told = passphrase_from(environ, prompt)
    return source
