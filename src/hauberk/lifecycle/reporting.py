"""The job of `hauberk report`: find the last verdict, read the evidence that it was decided on, and render it.

Reads and verifies; measures and logs nothing. Needs neither lock nor passphrase, and writes only the page.
"""

from __future__ import annotations

from pathlib import Path

from hauberk import project as projects
from hauberk.core import outputs
from hauberk.core.disk import Disk
from hauberk.records.last_run import read_source
from hauberk.report import render


def write_report(folder: Path, output: Path | None = None, *, disk: Disk | None = None) -> Path:
    """Write the report of the last run of the project in `folder` and return its path.

    Raises InvalidInput when nothing was decided yet and NotProven when ledger, envelopes and signatures disagree.
    """
    project = projects.load(folder)
    home = project.folder / ".hauberk"
    path = output or project.folder / "report.html"
    outputs.write(path, render(read_source(project.name, home)).encode("utf-8"), disk=disk)
    return path
