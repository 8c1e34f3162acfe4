"""Data: from files that nobody has vouched for to arrays that are known, split and checked.

`loading` turns a `DataSpec` into a `Split` of two `Dataset`s; `formats` holds one reader a file format, each of which
checks what a file claims before it allocates; `tables`, `pixels` and `targets` give numbers their meaning;
`splitting` keeps groups on one side; `checks` measures (practice 1a); `inspection` looks at unknown files. Nothing
here unpickles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hauberk.data.poison.screening import Screening, screen
    from hauberk.data.verification.api import infer, profile, verify

__all__ = ["Screening", "infer", "profile", "screen", "verify"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the exported names, imported when they are asked for
    if name in {"screen", "Screening"}:
        from hauberk.data.poison import screening

        return getattr(screening, name)
    if name in {"verify", "infer", "profile"}:
        from hauberk.data.verification import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
