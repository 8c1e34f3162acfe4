"""One registry for controls and algorithms: a file and a decorator add one.

A family is a `Registry`; its members carry a name, the practice and threats they serve, and a frozen params
dataclass that checks itself. The CLI options, the documentation table and the family's conformance tests are
derived from here. Packages outside register through the entry-point group `hauberk.controls`, whose entries
name a module that is imported for its registrations.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from hauberk.core.errors import InvalidInput

F = TypeVar("F", bound=Callable[..., Any])

ENTRY_POINT_GROUP = "hauberk.controls"


@dataclass(frozen=True, slots=True)
class Entry(Generic[F]):
    """One registered member.

    name: unique within its family. run: the function. params: a frozen dataclass whose fields, defaults and
    `metadata={"help": ...}` become options. practice: id in the blueprint ("1a" ... "A4"). threats: kinds
    from `core.threats`. summary: one line for tables. kinds: the data it is for ("image", "table").
    """

    name: str
    run: F
    params: type[Any]
    practice: str
    threats: tuple[str, ...]
    summary: str
    kinds: tuple[str, ...]

    def make(self, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - an instance of `params`
        """Return params built from `values`. Raises InvalidInput listing the known names."""
        known = {field.name for field in dataclasses.fields(self.params)}
        unknown = sorted(set(values) - known)
        if unknown:
            listed = ", ".join(sorted(known)) or "none"
            raise InvalidInput(f"{self.name} has no parameter {unknown[0]!r}; it has: {listed}.")
        try:
            return self.params(**values)
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"{self.name}: {error}") from error


@dataclass(frozen=True, slots=True)
class NoParams:
    """For members that have nothing to set."""


class Registry(Generic[F]):
    """The members of one family, found by name."""

    def __init__(self, family: str, package: str) -> None:
        self.family = family
        self._package = package
        self._entries: dict[str, Entry[F]] = {}
        self._loaded = False
        _FAMILIES[family] = self

    def register(  # noqa: PLR0913 - the columns of the controls table
        self,
        name: str,
        *,
        practice: str,
        threats: tuple[str, ...],
        summary: str,
        params: type[Any] = NoParams,
        kinds: tuple[str, ...] = ("image", "table"),
    ) -> Callable[[F], F]:
        """Return a decorator that adds a function under `name`. A name is taken once."""

        def add(run: F) -> F:
            if name in self._entries:
                raise InvalidInput(f"{self.family} already has a member named {name!r}.")
            self._entries[name] = Entry(name, run, params, practice, threats, summary, kinds)
            return run

        return add

    def __getitem__(self, name: str) -> Entry[F]:
        """Return the member. Raises InvalidInput listing the known names."""
        self._load()
        try:
            return self._entries[name]
        except KeyError:
            known = ", ".join(sorted(self._entries)) or "none"
            raise InvalidInput(f"no {self.family} is named {name!r}; known: {known}.") from None

    def __iter__(self) -> Iterator[Entry[F]]:
        """Iterate over the members by name."""
        self._load()
        return iter([self._entries[name] for name in sorted(self._entries)])

    def _load(self) -> None:
        """Import the family's package, whose modules register themselves, and third parties, once."""
        if self._loaded:
            return
        self._loaded = True
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            if not module.name.startswith("_"):
                importlib.import_module(f"{self._package}.{module.name}")
        load_third_parties()


_FAMILIES: dict[str, Registry[Any]] = {}
_THIRD_PARTIES: list[str] = []


def load_third_parties() -> None:
    """Import each module named by an installed package's `hauberk.controls` entry point, once."""
    from importlib.metadata import entry_points

    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.value not in _THIRD_PARTIES:
            _THIRD_PARTIES.append(point.value)
            point.load()
