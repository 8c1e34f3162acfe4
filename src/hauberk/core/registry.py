"""The registry: one file and one decorator add a control or an algorithm.

A family is a `Registry`. Its members carry a name, the practice and threats they serve, and a frozen params
dataclass that checks itself. The CLI options, docs/controls.md and the family's conformance tests are derived from
here. Packages outside of Hauberk (plug-ins) register through the entry-point group `hauberk.controls`, whose entries
name a module that is imported for its registrations.

A family is loaded once, under a lock. A member of Hauberk's own needs no plug-in; a list of all members, and a name
that Hauberk does not have, need every plug-in. A module that cannot be imported stops what needs it, at each access.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hauberk.core.errors import InvalidInput, Unavailable
from hauberk.core.practices import check_practice
from hauberk.core.threats import KINDS

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

F = TypeVar("F", bound=Callable[..., Any])

ENTRY_POINT_GROUP = "hauberk.controls"


@dataclass(frozen=True, slots=True)
class Entry(Generic[F]):
    """One registered member.

    name: unique within its family. run: the function. params: a frozen dataclass whose fields, defaults and
    `metadata={"help": ...}` become options. practice: an id of `core.practices`. threats: kinds of `core.threats`.
    summary: one line for tables. kinds: the data that it works on ("image", "table"). module: the name of the module
    that registered it.
    """

    name: str
    run: F
    params: type[Any]
    practice: str
    threats: tuple[str, ...]
    summary: str
    kinds: tuple[str, ...]
    module: str
    _globals: Mapping[str, Any] = field(repr=False, compare=False)  # tells two executions of one module apart

    @property
    def source(self) -> str:
        """The module that registered the member, with its distribution and version when it is a plug-in's."""
        if _is_ours(self.module):
            return self.module
        point = next((p for p in plug_ins() if _top(p.module) == _top(self.module)), None)
        return self.module if point is None else f"{self.module} of {_distribution(point)}"

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
    """The params of a member without settings."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """One use of a registry: a member by name, or all members (name "")."""

    package: str
    name: str
    module: str


_WATCHED: ContextVar[tuple[list[LookUp], ...]] = ContextVar("look-ups that are recorded", default=())


@contextmanager
def look_ups() -> Iterator[list[LookUp]]:
    """Record which members of which families this context uses: a result depends on their code.

    Look-ups in threads that the context starts are not recorded: a thread starts with a context of its own.
    """
    recorded: list[LookUp] = []
    token = _WATCHED.set((*_WATCHED.get(), recorded))
    try:
        yield recorded
    finally:
        _WATCHED.reset(token)


class Registry(Generic[F]):
    """The members of one family, by name."""

    def __init__(self, family: str, package: str) -> None:
        """family: what one member is called in messages. package: whose public modules register the members."""
        self.family = family
        self.package = package
        self._entries: dict[str, Entry[F]] = {}
        self._own = _Once(_Busy())
        self._all = _Once(_PLUG_INS)

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
        """Return a decorator that adds a function under `name`.

        Raises InvalidInput for an unknown practice or kind of threat at once, and for a name that another module, or
        this one, has registered.
        """
        check_practice(practice)
        unknown = sorted(set(threats) - set(KINDS))
        if unknown:
            raise InvalidInput(f"{name}: there is no kind of threat {unknown[0]!r}; known: {', '.join(KINDS)}.")
        frame = inspect.currentframe()
        assert frame is not None
        assert frame.f_back is not None
        scope = frame.f_back.f_globals

        def add(run: F) -> F:
            entry = Entry(name, run, params, practice, threats, summary, kinds, str(scope["__name__"]), scope)
            held = self._entries.setdefault(name, entry)
            if held is not entry:
                # A module whose import failed is executed again at the next access, and registers again.
                if held.module != entry.module or held._globals is scope:  # noqa: SLF001 - our own
                    raise InvalidInput(
                        f"{self.family} already has a member named {name!r}: {held.source} registered it, and "
                        f"{entry.source} registers it again. Rename one of them."
                    )
                self._entries[name] = entry
            return run

        return add

    def __getitem__(self, name: str) -> Entry[F]:
        """Return the member. Raises InvalidInput listing the known names, Unavailable as `load`."""
        self._load_own()
        entry = self._entries.get(name)
        if entry is None or not self._is_own(entry):
            self.load()
            entry = self._entries.get(name)
        if entry is None:
            known = ", ".join(sorted(self._entries)) or "none"
            raise InvalidInput(f"no {self.family} is named {name!r}; known: {known}.")
        self._record(name, entry.module)
        return entry

    def __iter__(self) -> Iterator[Entry[F]]:
        """Iterate over all members by name. Raises Unavailable as `load`."""
        self.load()
        self._record("", "")
        found = [self._entries[name] for name in sorted(self._entries)]
        for entry in found:
            self._record(entry.name, entry.module)
        return iter(found)

    def load(self) -> None:
        """Import the modules of the family's package and every plug-in, which register their members.

        Raises Unavailable, naming it, for a module or a plug-in that cannot be imported; each call does, until it can.
        """
        self._load_own()
        self._all.do(_load_plug_ins)

    def _load_own(self) -> None:
        self._own.do(self._import_package)

    def _import_package(self) -> None:
        def load(name: str) -> Any:  # noqa: ANN401 - a module
            what = f"the {self.family} module {name}"
            return _import(lambda: importlib.import_module(name), what, "Repair it, or install what it needs.")

        for module in pkgutil.iter_modules(load(self.package).__path__):
            if not module.name.startswith("_"):
                load(f"{self.package}.{module.name}")

    def _is_own(self, entry: Entry[F]) -> bool:
        return _is_ours(entry.module) or f"{entry.module}.".startswith(f"{self.package}.")

    def _record(self, name: str, module: str) -> None:
        for recorded in _WATCHED.get():
            recorded.append(LookUp(self.package, name, module))


# One lock for all families: a plug-in registers in several, and two locks could wait for one another.
_LOADING = threading.RLock()


class _Busy:
    """Whether the thread that holds the lock is importing; a look-up from inside an import sees what is there so far."""

    now = False


_PLUG_INS = _Busy()  # of all families: they import the same plug-ins


class _Once:
    """Runs an action until it has succeeded once; other threads wait for the one that runs it."""

    def __init__(self, busy: _Busy) -> None:
        self._done, self._busy = False, busy

    def do(self, action: Callable[[], None]) -> None:
        if self._done:
            return
        with _LOADING:
            if self._done or self._busy.now:
                return
            self._busy.now = True
            try:
                action()
                self._done = True
            finally:
                self._busy.now = False


def plug_ins() -> list[EntryPoint]:
    """Return the entry points of the installed plug-ins, ordered by distribution and name."""
    from importlib.metadata import entry_points

    return sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: (_distribution(point), point.name))


def _load_plug_ins() -> None:
    for point in plug_ins():
        what = f"the plug-in {_distribution(point)} (entry point {point.name} = {point.value})"
        advice = "Repair or uninstall it."
        if point.dist is not None:
            advice = f"Repair it, or run `pip uninstall {point.dist.name}`."
        _import(point.load, what, advice)


def _import(load: Callable[[], Any], what: str, advice: str) -> Any:  # noqa: ANN401 - a module
    try:
        return load()
    except (Exception, SystemExit) as error:
        raise Unavailable(f"{what} cannot be imported: {type(error).__name__}: {error}. {advice}") from error


def _distribution(point: EntryPoint) -> str:
    return "a package without metadata" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _top(module: str) -> str:
    return module.partition(".")[0]


def _is_ours(module: str) -> bool:
    return _top(module) == _top(__name__)
