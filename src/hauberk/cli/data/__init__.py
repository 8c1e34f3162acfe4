"""`hauberk data`: what a data engineer needs, with no model in sight; each command in its own file."""

from __future__ import annotations

import click

from hauberk.cli._output import lazy_group

# command: (module, attribute, one line). The order is that of the work.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "inspect": ("data.inspect", "inspect_files", "Say what files hold: rows, classes, columns, the target."),
    "profile": ("data.profile", "profile_table", "What a table holds, and what in it looks suspicious."),
    "infer": ("data.infer", "infer_schema", "Propose a schema file for a table, to be read and edited."),
    "verify": ("data.verify", "verify_table", "Hold a table of any size against a schema, a reference, or both."),
    "check": ("data.check", "check", "Run the data checks of the main job on files."),
    "screen": ("data.screen", "screen", "Rank the rows that look like poison, with reasons and senders."),
    "repair": ("data.repair", "repair", "Set suspect rows aside with their reasons, and keep the rest."),
    "drill": ("data.drill", "drill", "Poison a copy and say what would have been caught."),
    "certify": ("data.certify", "certify", "How many poisoned rows a vote of models provably withstands."),
    "diff": ("data.diff", "diff", "Rows added, removed and changed between two tables or folders."),
    "import": ("data.import_", "import_files", "Register files as a set: hashed, signed, logged."),
    "audit": ("data.audit", "audit", "Re-check every registered set, once or on a schedule."),
    "history": ("data.history", "history", "Draw the lineage from sources to models, from the ledger."),
    "prove": ("data.prove", "prove", "Prove that a row was, or was not, in a training set; check a proof."),
}


@click.group("data", cls=lazy_group(COMMANDS))
def data() -> None:
    """Verify, screen, repair, track and prove data; most commands need no project."""
