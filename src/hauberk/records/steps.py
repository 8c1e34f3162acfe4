"""Steps: work that is done once for the same inputs, parameters and code, and survives a kill at any moment.

A step's key is the digest of everything that its result depends on. Its record is written last, after artifacts
and attestations are durable, so a record means that the step is finished; a kill before that costs only this step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from hauberk.core import canonical
from hauberk.core.disk import Disk
from hauberk.core.errors import HauberkError
from hauberk.core.progress import Progress, Task
from hauberk.custody.statements import Statement
from hauberk.records.workshop import Logged, Workshop, versions


@dataclass(frozen=True, slots=True)
class Product:
    """What a step's work hands over: artifacts by name and digest, statements to sign, small JSON facts."""

    outputs: Mapping[str, str] = field(default_factory=dict)
    statements: Sequence[Statement] = ()
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Done:
    """A finished step. cached: it was finished by an earlier run. seconds: what this run spent on it."""

    name: str
    outputs: Mapping[str, str]
    logged: tuple[Logged, ...]
    values: Mapping[str, Any]
    cached: bool
    seconds: float


class Listener(Protocol):
    """Is told about each step as it ends, for a person who watches."""

    def __call__(self, done: Done, title: str) -> None:
        """Take one finished step."""


@cache
def code_digest() -> str:
    """Return the SHA-256 over Hauberk's own source files, names and bytes."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\0{canonical.sha256(path.read_bytes())}\n".encode())
    return digest.hexdigest()


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
        """Keep records under `steps/`, or under a folder of another job's own there."""
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
        still: told the recorded outputs, says whether what the step left outside of the store is still there.
        """
        started = monotonic()
        key = canonical.digest(
            {"step": name, "inputs": dict(inputs), "code": code_digest(), "versions": dict(versions())}
        )
        done = self._recall(name, key)
        if done is None or not still(done.outputs):
            with self._progress.task(title) as task:
                product = work(task)
            logged = tuple(self._workshop.attest(statement) for statement in product.statements)
            self._remember(name, key, product, logged)
            spent = monotonic() - started
            done = Done(name, product.outputs, logged, product.values, cached=False, seconds=spent)
        self.done.append(done)
        if self._listener is not None:
            self._listener(done, title)
        return done

    def _record(self, name: str) -> Path:
        return self._folder / f"{name.replace('/', '-')}.json"

    def _recall(self, name: str, key: str) -> Done | None:
        """Return the recorded step, or None when it has to be done (again): a record is only a cache."""
        try:
            record = canonical.decode(self._record(name).read_bytes(), what=f"the record of step {name}")
            if record["key"] != key or not all(self._workshop.artifacts.has(d) for d in record["outputs"].values()):
                return None
            logged = tuple(self._workshop.recall(entry["index"], entry["envelope"]) for entry in record["logged"])
            return Done(name, record["outputs"], logged, record["values"], cached=True, seconds=0.0)
        except (OSError, HauberkError, KeyError, TypeError, AttributeError):
            return None

    def _remember(self, name: str, key: str, product: Product, logged: tuple[Logged, ...]) -> None:
        record = {
            "key": key,
            "outputs": dict(product.outputs),
            "logged": [{"index": entry.index, "envelope": entry.digest} for entry in logged],
            "values": dict(product.values),
        }
        self._disk.write(self._record(name), canonical.encode(record))
