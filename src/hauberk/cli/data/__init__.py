"""`hauberk data`: what a data engineer needs, with no model in sight; each command in its own file."""

from __future__ import annotations

import click

from hauberk.cli._output import lazy_group

# command: (module, attribute, one line). The order is that of the work.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "inspect": ("data.inspect", "inspect_files", "Say what files hold: rows, classes, columns, the target."),
    "check": ("data.check", "check", "Run the data checks of the main job on files."),
    "screen": ("data.screen", "screen", "Rank the rows that look like poison, with reasons and senders."),
    "certify": ("data.certify", "certify", "How many poisoned rows a vote of models provably withstands."),
    "import": ("data.import_", "import_files", "Register files as a set: hashed, signed, logged."),
    "prove": ("data.prove", "prove", "Prove that a row was, or was not, in a training set; check a proof."),
}


@click.group("data", cls=lazy_group(COMMANDS))
def data() -> None:
    """Check data files alone, with no project."""
