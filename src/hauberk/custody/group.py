"""Group commit: many threads ask for a slow, durable write, and the first in line does one write for all that wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from hauberk.core.errors import HauberkError, Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class _Ticket(Generic[Item, Result]):
    """One caller's request: its item, then the result or the error."""

    item: Item
    results: tuple[Result, ...] = ()
    error: HauberkError | None = None

    @property
    def done(self) -> bool:
        return bool(self.results) or self.error is not None


class GroupCommit(Generic[Item, Result]):
    """Calls `commit` for one thread at a time, with the items of all threads that wait.

    commit: returns one result an item, in order. It either serves the whole batch or raises for the whole batch.
    """

    def __init__(self, commit: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        self._commit = commit
        self._turn = threading.Condition()
        self._leading = False
        self._queue: list[_Ticket[Item, Result]] = []

    @property
    def waiting(self) -> int:
        """How many callers wait for the next commit."""
        return len(self._queue)

    def submit(self, item: Item) -> Result:
        """Return the item's result once a commit served it. Raises the HauberkError that its commit raised."""
        ticket: _Ticket[Item, Result] = _Ticket(item)
        batch = self._wait(ticket)
        if batch:
            self._lead(batch)
        if ticket.error is not None:
            raise ticket.error
        return ticket.results[0]

    def _wait(self, ticket: _Ticket[Item, Result]) -> list[_Ticket[Item, Result]]:
        # Returns the whole queue to the caller whose turn it is to commit, nothing to one already served.
        with self._turn:
            self._queue.append(ticket)
            while self._leading and not ticket.done:
                self._turn.wait()
            if ticket.done:
                return []
            self._leading = True
            batch, self._queue = self._queue, []
            return batch

    def _lead(self, batch: list[_Ticket[Item, Result]]) -> None:
        failure: HauberkError = Unavailable("the commit was interrupted; open it again to see what was recorded.")
        results: Sequence[Result] | None = None
        try:
            results = self._commit([ticket.item for ticket in batch])
        except HauberkError as error:
            failure = error
        finally:
            with self._turn:
                for number, ticket in enumerate(batch):
                    if results is not None:
                        ticket.results = (results[number],)
                        continue
                    # Each caller gets its own: one exception raised in several threads would mix their tracebacks.
                    ticket.error = type(failure)(*failure.args)
                    ticket.error.__cause__ = failure
                self._leading = False
                self._turn.notify_all()
