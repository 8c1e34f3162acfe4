"""`hauberk data`: what a data engineer needs, with no model in sight; each command in its own file."""

from __future__ import annotations

import click

from hauberk.cli._output import lazy_group

# command: (module, attribute, one line). The order is that of the work.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "inspect": ("data.inspect", "inspect_files", "Say what files hold: rows, classes, columns, the target."),
    "check": ("data.check", "check", "Run the data checks of the main job on files."),
}


@click.group("data", cls=lazy_group(COMMANDS))
def data() -> None:
    """Check data files alone, with no project."""
