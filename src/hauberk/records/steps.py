"""Steps: work that is done once for the same inputs, parameters and code, and survives a kill at any moment.

A step's key is the digest of everything that its result depends on: its inputs, the versions of the libraries, and
the code of the work (`core.code`). That is the module that defines the work, what this imports, the registered
members and functions that the work holds on to, and the members that it looks up in a registry while it runs.

The record of a step is written last, after artifacts and attestations are durable, so a record means that the step is
finished; a kill before that costs only this step. The project's key signs it: a record that somebody else wrote, which
could exchange a trained model for another one, counts as none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from types import CellType, FunctionType, MethodType
from typing import Any, Protocol

from hauberk.core import canonical
from hauberk.core.code import code_digest, members_of
from hauberk.core.disk import Disk
from hauberk.core.errors import HauberkError
from hauberk.core.progress import Progress, Task
from hauberk.core.registry import Entry, LookUp, look_ups, plug_ins
from hauberk.custody import dsse
from hauberk.custody.statements import Statement
from hauberk.records.workshop import SIGNING, Logged, Workshop, versions

_TYPE, _VERSION = "application/vnd.hauberk.step+json", 3


@dataclass(frozen=True, slots=True)
class Product:
    """The result of a step's work: artifacts by name and digest, statements to sign, small JSON facts."""

    outputs: Mapping[str, str] = field(default_factory=dict)
    statements: Sequence[Statement] = ()
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Done:
    """A finished step. cached: an earlier run finished it. seconds: spent on it by this run."""

    name: str
    outputs: Mapping[str, str]
    logged: tuple[Logged, ...]
    values: Mapping[str, Any]
    cached: bool
    seconds: float


class Listener(Protocol):
    """Called with each step when it ends, to show it to a person."""

    def __call__(self, done: Done, title: str) -> None:
        """Show one finished step."""


def modules_of(work: object) -> frozenset[str]:
    """Return the modules that define `work`, and the functions and registered members that it holds on to."""
    found: set[str] = set()
    seen: set[int] = set()
    open_: list[object] = [work]
    while open_:
        held = open_.pop()
        if id(held) in seen:
            continue
        seen.add(id(held))
        if isinstance(held, Entry):
            found.add(held.module)
            open_.append(held.run)
        elif isinstance(held, partial):
            found.add(_module(held.func))
            open_ += [held.func, *held.args, *held.keywords.values()]
        elif isinstance(held, MethodType):
            found.add(_module(held.__self__))
            open_.append(held.__func__)
        elif isinstance(held, FunctionType):
            found.add(held.__module__)
            open_ += [*(held.__defaults__ or ()), *(held.__kwdefaults__ or {}).values()]
            open_ += [cell.cell_contents for cell in held.__closure__ or () if _is_filled(cell)]
        elif held is work:
            found.add(_module(held))
        elif is_dataclass(held) and not isinstance(held, type):
            open_ += [value for value in (getattr(held, field.name) for field in fields(held)) if _is_code(value)]
    return frozenset(found)


def _module(value: object) -> str:
    named = value if isinstance(value, type | FunctionType | MethodType) else type(value)
    return named.__module__


def _is_code(value: object) -> bool:
    return isinstance(value, Entry | partial | MethodType | FunctionType)


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # a variable that has no value yet
        return False


def _code_of(used: Sequence[LookUp]) -> str | None:
    """Return the digest of the members that were looked up; None when the code of one cannot be read."""
    modules = {one.module for one in used if one.name}
    iterated = [one for one in used if not one.name]
    code = code_digest(modules.union(*(members_of(one.package) for one in iterated)))
    if code is None or not iterated:
        return code
    # A plug-in that is installed, removed or upgraded may change what an iteration over a family finds.
    return canonical.digest([code, sorted(f"{p.value} {p.dist and p.dist.version}" for p in plug_ins())])


class Steps:
    """Runs steps in one workshop."""

    def __init__(
        self,
        workshop: Workshop,
        *,
        progress: Progress,
        listener: Listener | None = None,
        disk: Disk | None = None,
        folder: str = "",
    ) -> None:
        """folder: where under `steps/` the records are kept, so that two jobs keep theirs apart."""
        self._workshop = workshop
        self._progress = progress
        self._listener = listener
        self._disk = disk or Disk()
        self._folder = workshop.folder / "steps" / folder
        self.done: list[Done] = []

    def do(
        self,
        name: str,
        title: str,
        inputs: Mapping[str, Any],
        work: Callable[[Task], Product],
        *,
        still: Callable[[Mapping[str, str]], bool] = lambda _outputs: True,
    ) -> Done:
        """Return the finished step `name`: from its record when nothing that it depends on changed, else by `work`.

        inputs: JSON values that name everything the result depends on beside the code: digests, parameters, seed.
        still: takes the recorded outputs and returns whether what the step left outside of the store is still there.
        A step whose code cannot be read (typed at a prompt, say) is done each time.
        """
        started = monotonic()
        code = code_digest(modules_of(work))
        key = canonical.digest({"step": name, "inputs": dict(inputs), "code": code, "versions": dict(versions())})
        done = None if code is None else self._recall(name, key)
        if done is None or not still(done.outputs):
            with self._progress.task(title) as task, look_ups() as used:
                product = work(task)
            logged = tuple(self._workshop.attest(statement) for statement in product.statements)
            self._remember(name, key, product, logged, used)
            spent = monotonic() - started
            done = Done(name, product.outputs, logged, product.values, cached=False, seconds=spent)
        self.done.append(done)
        if self._listener is not None:
            self._listener(done, title)
        return done

    def _record(self, name: str) -> Path:
        return self._folder / f"{name.replace('/', '-')}.json"

    def _recall(self, name: str, key: str) -> Done | None:
        """Return the recorded step, or None when it has to be done again: a record is only a cache."""
        try:
            envelope = dsse.decode(self._record(name).read_bytes(), what=f"the record of step {name}")
            dsse.verify(envelope, self._workshop.keys.publics(SIGNING))
            record = canonical.decode(envelope.payload, what=f"the record of step {name}")
            if (
                envelope.payload_type != _TYPE
                or record["version"] != _VERSION
                or record["key"] != key
                or not all(self._workshop.artifacts.has(d) for d in record["outputs"].values())
            ):
                return None
            used = [LookUp(*one) for one in record["members"]]
            if record["members_code"] is None or record["members_code"] != _code_of(used):
                return None
            logged = tuple(self._workshop.recall(entry["index"], entry["envelope"]) for entry in record["logged"])
            return Done(name, record["outputs"], logged, record["values"], cached=True, seconds=0.0)
        except (OSError, HauberkError, KeyError, TypeError, AttributeError):
            return None

    def _remember(
        self, name: str, key: str, product: Product, logged: tuple[Logged, ...], used: Sequence[LookUp]
    ) -> None:
        members = sorted({(one.package, one.name, one.module) for one in used})
        record = {
            "version": _VERSION,
            "key": key,
            "members": [list(one) for one in members],
            "members_code": _code_of(used),
            "outputs": dict(product.outputs),
            "logged": [{"index": entry.index, "envelope": entry.digest} for entry in logged],
            "values": dict(product.values),
        }
        signed = dsse.sign(canonical.encode(record), _TYPE, [self._workshop.signer])
        self._disk.write(self._record(name), signed)
