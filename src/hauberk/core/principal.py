"""Principal: who acts, as evidence and events name it, and how that is known.

Nobody proves a principal yet. The command line takes the name from HAUBERK_PRINCIPAL, from an option, or from the operating
system (user@host), and hands it in; library code never reads the environment for it. What is proven is that the holder
of the project's signing key signed the name, that it was logged at that time, and that it was not changed since.

Answers: honest mistakes about who did what, and later changes of the record. Does not answer: a user who writes another's
name; that needs access control, which will add a `Known` member for what it proves.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hauberk.core.errors import InvalidInput

_LONGEST = 200


class Kind(StrEnum):
    """What acts."""

    PERSON = "person"
    SERVICE = "service"
    DEVICE = "device"
    UNKNOWN = "unknown"


class Known(StrEnum):
    """How the name is known. None of these is a proof."""

    SAID = "said"  # by whoever called: HAUBERK_PRINCIPAL, an option, or the caller of the library
    SYSTEM = "system"  # user@host, from the operating system
    NOBODY = "nobody"  # the caller named no one


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts. id: 1 to 200 printable characters, such as "ana@bank".

    Raises InvalidInput for an id that is empty, longer, or holds control characters.
    """

    id: str
    kind: Kind = Kind.UNKNOWN
    known: Known = Known.SAID

    def __post_init__(self) -> None:
        if not self.id.strip() or len(self.id) > _LONGEST or not self.id.isprintable():
            raise InvalidInput(
                f"a principal's name has 1 to {_LONGEST} printable characters, found {self.id[:80]!r}. "
                "Name who acts, such as ana@bank or service:nightly."
            )

    @classmethod
    def named(cls, text: str, *, known: Known = Known.SAID) -> Principal:
        """Return the principal that a text names: "service:nightly" is a service, "ana@bank" of unknown kind.

        text: an id, with "person:", "service:" or "device:" before it where the kind is known.

            >>> Principal.named("service:nightly")
            Principal(id='nightly', kind=<Kind.SERVICE: 'service'>, known=<Known.SAID: 'said'>)
        """
        prefix, separator, rest = text.strip().partition(":")
        if separator and prefix in {kind.value for kind in Kind}:
            return cls(rest.strip(), Kind(prefix), known)
        return cls(text.strip(), known=known)

    @classmethod
    def read(cls, value: object) -> Principal:
        """Return the principal of a predicate's `by`, or UNKNOWN for a value of another form.

        Reading never raises: records may come from other versions and tools.
        """
        if not isinstance(value, dict):
            return UNKNOWN
        try:
            return cls(str(value["id"]), Kind(value["kind"]), Known(value["known"]))
        except (KeyError, ValueError, InvalidInput):
            return UNKNOWN

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form that evidence and events carry as `by`."""
        return {"id": self.id, "kind": self.kind.value, "known": self.known.value}

    def __str__(self) -> str:
        return self.id


UNKNOWN = Principal("unknown", Kind.UNKNOWN, Known.NOBODY)
"""The principal of library calls whose caller names no one."""
