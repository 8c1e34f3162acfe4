"""Progress bars on standard error when it is a terminal, and no output otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from hauberk.core.text import visible


class Task(Protocol):
    """A running piece of work whose progress can be updated."""

    def update(self, done: float, *, text: str = "") -> None:
        """Set the progress: `done` in [0, 1], `text` beside the bar."""


@dataclass(slots=True)
class Quiet:
    """Shows nothing; the default of every function, so that library code never prints."""

    done: float = field(default=0.0)

    def update(self, done: float, *, text: str = "") -> None:  # noqa: ARG002 - the shape of Task
        """Store the progress."""
        self.done = done


class Part:
    """One of several equal parts of a task."""

    def __init__(self, task: Task, number: int, parts: int) -> None:
        self._task, self._number, self._parts = task, number, parts

    def update(self, done: float, *, text: str = "") -> None:
        """Set the progress of this part: `done` in [0, 1]."""
        text = text or f"{self._number + 1} of {self._parts}"
        self._task.update((self._number + done) / self._parts, text=text)


class Progress:
    """Makes tasks. visible: None means only when standard error is a terminal."""

    def __init__(self, *, visible: bool | None = None) -> None:
        self.visible = sys.stderr.isatty() if visible is None else visible

    @contextmanager
    def task(self, title: str) -> Iterator[Task]:
        """Show `title` with a bar while the block runs."""
        if not self.visible:
            yield Quiet()
            return
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[text]}", style="dim", markup=False),
            TimeElapsedColumn(),
        )
        with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
            identifier = bars.add_task(visible(title), total=1.0, text="")

            class Shown:
                def update(self, done: float, *, text: str = "") -> None:
                    bars.update(identifier, completed=done, text=visible(text))

            yield Shown()
