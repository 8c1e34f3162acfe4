"""The main job: from a data set, a model and a declared threat model to a release that anyone can verify.

    load -> verify -> set poison aside -> seal -> train plainly -> train hardened -> attack both -> export -> gate ->
    release -> report

Each arrow is a step. It is signed and logged when it ends, and not repeated while nothing that it depends on has changed. A
refusal at the gate is a result, not an error: all measurements are kept, and there is no release.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hauberk import project as projects
from hauberk.core.disk import Disk
from hauberk.core.principal import UNKNOWN, Principal
from hauberk.core.progress import Progress
from hauberk.custody.gate import Verdict
from hauberk.custody.seen import Seen
from hauberk.lifecycle.main.attack import attack_models
from hauberk.lifecycle.main.data import load_data, seal_data, verify_data
from hauberk.lifecycle.main.decision import decide, make_release
from hauberk.lifecycle.main.job import Job
from hauberk.lifecycle.main.lineage import commit_rows, register_data
from hauberk.lifecycle.main.models import prove_export, train_models
from hauberk.lifecycle.main.poison import answer_poison
from hauberk.lifecycle.reporting import write_report
from hauberk.project import Project
from hauberk.project.opening import HOME, open_workshop
from hauberk.records.last_run import read_source
from hauberk.records.steps import Done, Listener, Steps
from hauberk.records.workshop import Clock, Logged, utc_now

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a run. release: the folder, None when the gate refused. report: the page."""

    project: Project
    verdict: Verdict
    release: Path | None
    report: Path
    steps: tuple[Done, ...]
    origin: str
    size: int
    key_id: str

    @property
    def allowed(self) -> bool:
        """Whether the gate allowed a release."""
        return self.verdict.allowed

    def to_json(self) -> dict[str, Any]:
        """Return the document of `hauberk protect --json`."""
        return {
            "verdict": "allow" if self.allowed else "refuse",
            "release": None if self.release is None else str(self.release),
            "report": str(self.report),
            "rules": [ruling.to_json() for ruling in self.verdict.rulings],
            "ledger": {
                "folder": str(self.project.folder / HOME / "ledger"),
                "origin": self.origin,
                "size": self.size,
            },
            "key": self.key_id,
            "steps": [{"name": s.name, "cached": s.cached, "seconds": s.seconds} for s in self.steps],
        }

    def summary(self) -> Table:
        """Return the last screen: plain and hardened side by side, the rules, and what to type next."""
        from hauberk.report.terminal import summary_table

        return summary_table(read_source(self.project.name, self.project.folder / HOME))


def protect(  # noqa: PLR0913 - all but the folder are for tests and other front ends
    folder: Path | str = ".",
    *,
    by: Principal = UNKNOWN,
    passphrase: Callable[[], bytes] | None = None,
    progress: Progress | None = None,
    listener: Listener | None = None,
    clock: Clock = utc_now,
    seen: Seen | None = None,
    disk: Disk | None = None,
) -> Result:
    """Run the main job on the project in `folder` and return the result.

    by: who runs it; evidence and events name it. passphrase: of the keyring; default: as `custody.keys.standing` finds
    it. listener: called with each step as it ends. Raises InvalidInput for a project, data or model that has to be
    changed, NotProven when ledger or store were tampered with, Unavailable for a full disk or a second run at the same
    time. Whatever is raised, finished steps are kept and the ledger is sound; the same call continues.
    """
    project = projects.load(Path(folder))
    disk = disk or Disk()
    with open_workshop(
        project, passphrase=passphrase, clock=clock, seen=seen, disk=disk, by=by, job="protect"
    ) as workshop:
        steps = Steps(workshop, progress=progress or Progress(), listener=listener, disk=disk)
        job = Job(project, workshop, steps, disk)
        register_data(job)
        about = load_data(job)
        verify_data(job, about)
        about = answer_poison(job, about)
        seal_data(job, about)
        commit_rows(job, about)
        models = train_models(job, about)
        attack_models(job, about, models)
        prove_export(job, about, models[-1])
        verdict = decide(job, about, models, _logged(steps))
        release = make_release(job, about, models, _logged(steps)) if verdict.allowed else None
        origin, size, key_id = workshop.ledger.origin, workshop.ledger.size, workshop.signer.public.key_id
    report = write_report(project.folder, disk=disk)
    return Result(project, verdict, release, report, tuple(steps.done), origin, size, key_id)


def _logged(steps: Steps) -> list[Logged]:
    """Return every attestation of this run so far, in the order of the ledger's steps."""
    return [logged for done in steps.done for logged in done.logged]
