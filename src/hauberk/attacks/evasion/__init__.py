"""Evasion: attacks on a model's input at prediction time.

Each file in `methods` registers one attack in `ATTACKS`, and each registered attack is a function of this package, with
underscores in its name: `evasion.pgd(model, x, y, norm="linf", eps=8 / 255)` returns the adversarial inputs with a verdict
for each row (`attacks.verdict.AttackResult`). `function(name)` returns the same by the registered name. `transfer`, which
needs other models, is not registered. `accuracy_by_corruption` returns a table instead of inputs.

`__init__.pyi` lists the functions for type checkers; `tests/attacks/evasion/test_functions.py` writes and checks it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from hauberk.attacks.attack import ATTACKS, Attack
from hauberk.attacks.evasion._functions import AttackFunction, function_of
from hauberk.core.errors import InvalidInput

__all__ = ["ATTACKS", "Attack", "AttackFunction", "function"]  # and one function for each registered attack


def function(name: str) -> AttackFunction:
    """Return the registered attack `name` as a function. Raises InvalidInput listing the known names."""
    return _function(name)


@cache
def _function(name: str) -> AttackFunction:
    entry = ATTACKS[name]
    return function_of(entry.name, entry.run, entry.params, summary=entry.summary)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - an attack's function
    if name == "accuracy_by_corruption":
        from hauberk.attacks.evasion.methods.corruptions import accuracy_by_corruption

        return accuracy_by_corruption
    if name == "transfer":
        from hauberk.attacks.evasion.methods.transfer import transfer

        return transfer
    if not name.startswith("_"):
        try:
            return _function(name.replace("_", "-"))
        except InvalidInput as error:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}: {error}") from error
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    names = [entry.name.replace("-", "_") for entry in ATTACKS]
    return sorted([*__all__, *names, "accuracy_by_corruption", "transfer"])
