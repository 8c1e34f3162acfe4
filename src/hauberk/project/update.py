"""The `[update]` section: how a challenger is trained and compared, and what makes an update due."""

from __future__ import annotations

import pathlib

from hauberk.core.errors import HauberkError
from hauberk.project.paths import existing
from hauberk.project.reading import Table
from hauberk.project.scheduling import check_cron
from hauberk.project.values import Update


def read_update(root: Table, folder: pathlib.Path) -> Update:
    """Return how updates are made; everything has a default, and nothing is due by itself without a trigger."""
    table, own = root.child("update"), Update()
    start = table.choice("start", ("warm", "cold"), default=own.start)
    value = Update(
        start="cold" if start == "cold" else "warm",
        epochs=table.whole("epochs", 1, low=1) if table.has("epochs") else None,
        confidence=table.number("confidence", own.confidence, low=0.5, high=0.9999, why="It is a probability."),
        groups=table.texts("groups"),
        favourable=table.text("favourable"),
        schema=existing(table, "schema", table.text("schema"), folder) if table.text("schema") else None,
        data=table.texts("data"),
        schedule=_cron(table),
        new_rows=table.whole("new_rows", 1, low=1) if table.has("new_rows") else None,
        drift=table.get("drift", bool, own.drift),
    )
    for key in ("schedule", "new_rows", "drift"):
        if table.values.get(key) and not value.data:
            table.wrong(
                key, 'has no effect without `data`: say where new rows arrive, such as data = ["incoming/*.csv"].'
            )
    table.close()
    return value


def _cron(table: Table) -> str:
    text = table.text("schedule")
    if text:
        try:
            check_cron(text)
        except HauberkError as error:
            table.wrong("schedule", str(error))
    return text
