"""Who runs the command: the only place that reads the environment for it."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Mapping

from hauberk.core.principal import Known, Principal

VARIABLE = "HAUBERK_PRINCIPAL"


def principal(option: str | None = None, environ: Mapping[str, str] | None = None) -> Principal:
    """Return who acts: the option's value, else HAUBERK_PRINCIPAL, else user@host. None of them is proven.

    Raises InvalidInput for a name that `Principal` does not accept.
    """
    environ = os.environ if environ is None else environ
    said = option or environ.get(VARIABLE, "")
    if said.strip():
        return Principal.named(said)
    try:
        user = pwd.getpwuid(os.getuid()).pw_name  # not LOGNAME or USER, which anybody may set
    except KeyError:  # a user without an entry, as in some containers
        user = str(os.getuid())
    return Principal(f"{user}@{socket.gethostname()}"[:200], known=Known.SYSTEM)
