"""Workshop: what one project keeps under `.hauberk/`, opened for one run, and the one place that signs and logs.

    .hauberk/keyring      encrypted keys             .hauberk/ledger/    the log
    .hauberk/ledger.pub   the log's verifying key    .hauberk/signing.pub  the keys that attestations verify with
    .hauberk/store/       artifacts by digest        .hauberk/steps/     what each step resulted in (a cache)

Controls return measurements, and `records.running` makes evidence of them. This module signs it, stores the envelope and
logs it, so that no control can forget to.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hauberk.core import canonical
from hauberk.core.disk import Disk, explain
from hauberk.core.errors import HauberkError, InvalidInput, NotProven
from hauberk.core.evidence import Subject
from hauberk.core.principal import UNKNOWN, Principal
from hauberk.core.version import VERSION
from hauberk.custody import locks, statements
from hauberk.custody.artifacts import Artifacts
from hauberk.custody.entries import entry_of
from hauberk.custody.keys import ED25519, KeyService, open_keys
from hauberk.custody.keys.port import AES_256, PublicKey, Signer
from hauberk.custody.ledger import Ledger
from hauberk.custody.seen import Seen
from hauberk.custody.statements import Statement
from hauberk.records.jobs import only_job
from hauberk.records.reader import Records, open_index, writer_name

Clock = Callable[[], datetime]

# Data and models are sealed under keys of their own, so that a data set can be erased and its models still be served.
SIGNING, LOGGING, SEALING, MODELS = "signing", "ledger", "data", "model"
_LIBRARIES = ("numpy", "torch", "scikit-learn", "onnx", "onnxruntime", "polars", "cryptography")
_BACKWARDS_S = 2.0  # a clock may be stepped this far back by time synchronisation
_SETUP, _SETUP_S = "setup.lock", 60.0


def utc_now() -> datetime:
    """Return the time of this machine's clock, in UTC."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """Return a time as RFC 3339 text, in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def versions() -> Mapping[str, str]:
    """Return the versions that a measurement depends on: Hauberk, Python and the libraries that are installed."""
    found = {"hauberk": VERSION, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _publish(path: Path, publics: tuple[PublicKey, ...], disk: Disk) -> None:
    pems = "".join(public.pem() for public in publics).encode("ascii")
    if not path.exists() or path.read_bytes() != pems:
        disk.write(path, pems)


def _keys_and_ledger(  # noqa: PLR0913, PLR0917 - the circumstances of an opening, as `Workshop.open` takes them
    folder: Path,
    name: str,
    keys_uri: str,
    algorithm: str,
    passphrase: Callable[[], bytes] | None,
    disk: Disk,
) -> tuple[KeyService, Ledger]:
    """Open keys and ledger; what is missing is made under a lock, so that two first openings make it once."""
    place = folder / "ledger"
    if (place / "checkpoint").exists():
        keys = open_keys(keys_uri, passphrase=passphrase, create=True, disk=disk)
        _make_keys(keys, algorithm)
        return keys, Ledger.open(place, keys.signer(LOGGING), publics=keys.publics(LOGGING), disk=disk)
    try:
        disk.make_folder(folder)
    except OSError as error:
        raise explain(error, folder) from error
    lock = folder / _SETUP
    busy = (
        f"another process has been setting this project up for {_SETUP_S:g} s. Finish there, then run this again."
    )
    with locks.held(lock, wait=_SETUP_S, busy=busy):
        keys = open_keys(keys_uri, passphrase=passphrase, create=True, disk=disk)
        _make_keys(keys, algorithm)
        logger = keys.signer(LOGGING)
        if (place / "checkpoint").exists():  # made while we waited
            return keys, Ledger.open(place, logger, publics=keys.publics(LOGGING), disk=disk)
        origin = f"hauberk/{name}/{logger.public.key_id[:16]}"
        return keys, Ledger.create(place, origin, logger, disk=disk)


def _make_keys(keys: KeyService, algorithm: str) -> None:
    known = keys.names()
    for key, kind in ((SIGNING, algorithm), (LOGGING, ED25519), (SEALING, AES_256), (MODELS, AES_256)):
        if key not in known:
            keys.create(key, kind)


@dataclass(frozen=True, slots=True)
class Logged:
    """An attestation in the ledger: its index, the SHA-256 of its envelope, and its statement."""

    index: int
    digest: str
    statement: Statement


class Workshop(AbstractContextManager["Workshop"]):
    """An open project; use as a context manager. Any number of processes may have one project open at once.

    No lock is held between two attestations, except for the job lock when it was opened for a job.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the parts that `open` joins
        self,
        folder: Path,
        artifacts: Artifacts,
        keys: KeyService,
        ledger: Ledger,
        clock: Clock,
        seen: Seen,
        by: Principal = UNKNOWN,
    ) -> None:
        self.folder = folder
        self.by = by
        self.artifacts = artifacts
        self.keys = keys
        self.ledger = ledger
        self._clock = clock
        self._seen = seen
        self._job = ExitStack()

    @classmethod
    def open(  # noqa: PLR0913 - everything outside the folder is passed in, so that tests can replace it
        cls,
        folder: Path,
        *,
        name: str,
        keys_uri: str,
        algorithm: str = ED25519,
        passphrase: Callable[[], bytes] | None = None,
        clock: Clock = utc_now,
        seen: Seen | None = None,
        disk: Disk | None = None,
        by: Principal = UNKNOWN,
        job: str = "",
    ) -> Self:
        """Open the workshop of a project, creating keys and ledger the first time.

        by: who acts; every event and all evidence of this workshop name it. job: the command that runs, when it writes
        the release folder: the job lock (`jobs`) is then held until the workshop is closed.
        Raises NotProven when the ledger was tampered with, or rolled back behind what this machine has seen of it;
        InvalidInput for a wrong passphrase, an unwritable folder, or a clock that is behind the last entry;
        Unavailable while another job runs (only with `job`), or when a lock is not free in time.
        """
        disk = disk or Disk()
        with ExitStack() as held:
            if job:
                held.enter_context(only_job(folder, job, disk=disk))
            keys, ledger = _keys_and_ledger(folder, name, keys_uri, algorithm, passphrase, disk)
            store = Artifacts(folder / "store", disk=disk, keys=keys)
            workshop = cls(folder, store, keys, ledger, clock, seen or Seen(disk=disk), by)
            workshop._check_history()
            workshop._check_clock()
            _publish(folder / "ledger.pub", keys.publics(LOGGING), disk)
            _publish(folder / "signing.pub", keys.publics(SIGNING), disk)
            workshop._job = held.pop_all()
        return workshop

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remember how far the ledger came, to notice a roll-back next time, and release the job lock if it is held."""
        # A machine that cannot remember must still be able to work; verification warns about it.
        with self._job, suppress(HauberkError):
            self._seen.record(self._remembered, self.ledger.checkpoint())
        self.ledger.close()

    @property
    def records(self) -> Records:
        """Ledger and store for reading, up to the newest entry of any process at this moment."""
        self.ledger.refresh()
        return self._records

    @cached_property
    def _records(self) -> Records:
        index = open_index(self.folder, self.artifacts, self._seen)
        return Records(self.ledger, self.artifacts, self.keys.publics(SIGNING), index)

    @property
    def signer(self) -> Signer:
        """The key that signs attestations and releases."""
        return self.keys.signer(SIGNING)

    def now(self) -> str:
        """Return the time as RFC 3339."""
        return rfc3339(self._clock())

    def attest(self, statement: Statement) -> Logged:
        """Sign a statement, keep its envelope, and log it. Returns once the entry is durable."""
        return self.attest_many((statement,))[0]

    def attest_many(self, several: Sequence[Statement]) -> list[Logged]:
        """Attest several statements in their order: the store is synced once for all, and the ledger commits once.

        All are logged or none is. About 1 ms each, where one alone takes many ms of disk; for thousands of events
        a second see `spool`.
        """
        if not several:
            return []
        signer = self.signer
        envelopes = [statements.attest(statement, signer) for statement in several]
        digests = self.artifacts.put_many(envelopes)
        entries = [entry_of(envelope, statement) for envelope, statement in zip(envelopes, several, strict=True)]
        indices = self.ledger.append_many(entries)
        return [Logged(*logged) for logged in zip(indices, digests, several, strict=True)]

    def recall(self, index: int, digest: str) -> Logged:
        """Return an earlier attestation. Raises NotProven when store, signature and ledger do not agree on it."""
        if index >= self.ledger.size:
            self.ledger.refresh()  # another process may have logged it
        envelope = self.artifacts.get(digest)
        statement = statements.open_attestation(envelope, self.keys.publics(SIGNING), what=f"attestation {index}")
        if index >= self.ledger.size or self.ledger.entry(index) != entry_of(envelope, statement):
            raise NotProven(f"ledger entry {index} is not the attestation {digest[:16]} of that step.")
        return Logged(index, digest, statement)

    def event(self, name: str, subjects: tuple[Subject, ...], **details: Any) -> Statement:  # noqa: ANN401 - JSON
        """Return the statement of an event that concerns these artifacts, at the present time."""
        predicate = {"event": name, "time": self.now(), "by": self.by.to_json(), "details": details}
        return Statement(subjects, statements.EVENT, predicate)

    @property
    def _remembered(self) -> str:
        return writer_name(self.ledger.origin)

    def _check_history(self) -> None:
        note = self._seen.get(self._remembered)
        if note is None:
            return
        self.ledger.check_extends(note, *self.keys.publics(LOGGING))

    def _check_clock(self) -> None:
        # The time is read after the entry, so an entry that another process logged meanwhile is not in the future.
        if self.ledger.size == 0:
            return
        entry = self.ledger.entry(self.ledger.size - 1)
        last = canonical.decode(entry, what="the last ledger entry").get("time", "")
        now = self._clock()
        try:
            before = datetime.fromisoformat(last)
        except ValueError:
            return
        if (before - now).total_seconds() > _BACKWARDS_S:
            raise InvalidInput(
                f"the clock says {rfc3339(now)}, but the ledger's last entry was made at {last}: "
                "correct this machine's clock and run the same command again. Nothing was written."
            )
