"""The error tree: one root, one branch for each different reaction of a caller.

    HauberkError
    ├── NotProven       exit 1   a proof failed, or the input is hostile: do not use it
    ├── InvalidInput    exit 2   a file, an argument or a setting has to be changed
    ├── Refused         exit 3   the gate's verdict: the evidence does not allow a release
    └── Unavailable     exit 4   something outside is missing or out of reach
        └── MissingExtra         an optional part is not installed

A message says what was found, what was expected and what to do next. It never holds a secret or a payload.
"""

from __future__ import annotations

from typing import ClassVar


class HauberkWarning(UserWarning):
    """A condition that a person should know of, although the work continues."""


class HauberkError(Exception):
    """Root of every error that Hauberk raises on purpose; `exit_code` is the process's answer to it."""

    exit_code: ClassVar[int] = 1


class NotProven(HauberkError):  # noqa: N818 - the name states the verdict, as the exit code does
    """A signature, digest, proof or policy check failed: treat the subject as hostile."""

    exit_code = 1


class InvalidInput(HauberkError):  # noqa: N818 - as above
    """The input cannot be used as it is."""

    exit_code = 2


class Refused(HauberkError):  # noqa: N818 - as above
    """The gate refused: a rule failed on the evidence, or evidence is missing."""

    exit_code = 3


class Unavailable(HauberkError):  # noqa: N818 - as above
    """A service, a device or a disk failed; the same call may succeed later."""

    exit_code = 4


class MissingExtra(Unavailable):
    """An optional part is not installed."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(
            f"{module} is not installed, and this step needs it: run `pip install 'hauberk[{extra}]'`."
        )
        self._made_from = (module, extra)

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:
        # An exception pickles its message as its arguments; a worker process raises this one with two.
        return (type(self), self._made_from)
