"""`hauberk data`: commands for data engineers, without a model; each in its own file."""

from __future__ import annotations

import click

from hauberk.cli._output import lazy_group

# command: (module, attribute, one line). In the order of the work.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "inspect": ("data.inspect", "inspect_files", "Describe files: rows, classes, columns, the target."),
    "profile": ("data.profile", "profile_table", "Profile a table and list what looks suspicious."),
    "infer": ("data.infer", "infer_schema", "Propose a schema file for a table, to review and edit."),
    "verify": ("data.verify", "verify_table", "Verify a table of any size against a schema, a reference, or both."),
    "check": ("data.check", "check", "Run the data checks of the main job on files."),
    "screen": ("data.screen", "screen", "Rank the rows that look like poison, with reasons and senders."),
    "repair": ("data.repair", "repair", "Set suspect rows aside with their reasons, and keep the rest."),
    "drill": ("data.drill", "drill", "Poison a copy and show what would be detected."),
    "certify": ("data.certify", "certify", "Compute how many poisoned rows a vote of models provably withstands."),
    "diff": ("data.diff", "diff", "Show rows added, removed and changed between two tables or folders."),
    "import": ("data.import_", "import_files", "Register files as a set: hashed, signed, logged."),
    "audit": ("data.audit", "audit", "Re-check every registered set, once or on a schedule."),
    "history": ("data.history", "history", "Draw the lineage from sources to models, from the ledger."),
    "prove": ("data.prove", "prove", "Prove that a row was, or was not, in a training set; check a proof."),
}


@click.group("data", cls=lazy_group(COMMANDS))
def data() -> None:
    """Verify, screen, repair, track and prove data; most commands need no project."""
