"""Hashes every part of every file on all cores, in threads, because hashing and reading release the interpreter lock.

Work is divided into units of about one block (4 MiB): a block of a large file, or a batch of small files. Memory is one
buffer a thread, whatever the size of the set. An interrupt takes effect after the units in progress.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import groupby

from hauberk.core.progress import Task
from hauberk.custody.ledger.levels import root_of
from hauberk.data.manifest.cutting import Cut
from hauberk.data.manifest.items import Item, Reader
from hauberk.data.manifest.model import BLOCK

_BATCH = 64  # small files in one unit, at most, to save hand-overs between threads


@dataclass(frozen=True, slots=True)
class _Piece:
    """A block to hash: bytes [start, end) of file number `file`; block `number` of its cut number `part`."""

    file: int
    part: int
    number: int
    start: int
    end: int


@dataclass
class _Run:
    """The threads' shared state: units not yet taken, block hashes by (file, part, number), and bytes hashed so far."""

    units: Iterator[list[_Piece]]
    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)
    hashes: dict[tuple[int, int, int], bytes] = field(default_factory=dict)
    done: int = 0

    def next(self) -> list[_Piece] | None:
        with self.lock:
            return None if self.stop.is_set() else next(self.units, None)


def digests(
    plans: Sequence[tuple[Item, Sequence[Cut]]], reader: Reader, *, task: Task, threads: int | None = None
) -> list[list[bytes]]:
    """Return the 32-byte digest of each cut of each file, in their order.

    Raises ChangedError, an InvalidInput, if a file differs from the listed one before or after it is read.
    """
    pieces = [piece for number, (_, cuts) in enumerate(plans) for piece in _pieces(number, cuts)]
    total = max(1, sum(piece.end - piece.start for piece in pieces))
    run = _Run(_units(pieces))

    def work() -> None:
        while (unit := run.next()) is not None:
            size = _hash(unit, plans, reader, run)
            with run.lock:
                run.done += size

    workers = max(1, threads or reader.threads)
    with ThreadPoolExecutor(workers) as pool:
        running = {pool.submit(work) for _ in range(workers)}
        try:
            while running:
                ended, running = wait(running, timeout=0.1, return_when=FIRST_COMPLETED)
                task.update(run.done / total, text=f"{run.done / 1e9:.2f} of {total / 1e9:.2f} GB")
                for future in ended:
                    future.result()
        finally:
            run.stop.set()
    counts = [[_count(cut) for cut in cuts] for _, cuts in plans]
    return [
        [root_of([run.hashes[file, part, number] for number in range(count)]) for part, count in enumerate(parts)]
        for file, parts in enumerate(counts)
    ]


def _hash(unit: Sequence[_Piece], plans: Sequence[tuple[Item, Sequence[Cut]]], reader: Reader, run: _Run) -> int:
    size = 0
    for file, of_file in groupby(unit, key=lambda piece: piece.file):
        pieces = list(of_file)
        ranges = [(piece.start, piece.end) for piece in pieces]
        for piece, chunks in zip(pieces, reader.chunks(plans[file][0], ranges), strict=True):
            state = sha256(b"\x00")
            for chunk in chunks:
                state.update(chunk)
            run.hashes[piece.file, piece.part, piece.number] = state.digest()
            size += piece.end - piece.start
    return size


def _count(cut: Cut) -> int:
    return max(1, -(-(cut.end - cut.start) // BLOCK))


def _pieces(file: int, cuts: Sequence[Cut]) -> Iterator[_Piece]:
    for part, cut in enumerate(cuts):
        for number in range(_count(cut)):
            start = cut.start + number * BLOCK
            yield _Piece(file, part, number, start, min(cut.end, start + BLOCK))


def _units(pieces: Sequence[_Piece]) -> Iterator[list[_Piece]]:
    unit: list[_Piece] = []
    size = 0
    for piece in pieces:
        unit.append(piece)
        size += piece.end - piece.start
        if size >= BLOCK or len(unit) >= _BATCH:
            yield unit
            unit, size = [], 0
    if unit:
        yield unit
