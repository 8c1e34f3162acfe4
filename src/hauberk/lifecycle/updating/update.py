"""The update: from new rows to a release that is nowhere worse than the one it replaces, or to the reason for refusing it.

    verify the champion -> read and record the batch -> check files against the schema -> checks, drift, slow drip ->
    apply the policy for poison -> commit to rows -> train a challenger -> attack it, the champion and the trusted model ->
    compare -> gate -> promote

Each arrow is a step of `steps`, signed and logged, as in the main job. A refusal keeps the champion and says which rule,
metric or alarm caused it. The event that promotes or refuses names the batch, the reasons and both models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hauberk import project as projects
from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput, Refused
from hauberk.core.evidence import Subject
from hauberk.core.principal import UNKNOWN, Principal
from hauberk.core.progress import Progress
from hauberk.custody.gate import Verdict
from hauberk.custody.seen import Seen
from hauberk.lifecycle.comparing.paired import Compared
from hauberk.lifecycle.controls.training import WEIGHTS
from hauberk.lifecycle.main.decision import decide, make_release
from hauberk.lifecycle.main.job import About, Job
from hauberk.lifecycle.main.models import Trained, prove_export, train_models
from hauberk.lifecycle.releasing import releases
from hauberk.lifecycle.releasing.releases import Made
from hauberk.lifecycle.reporting import write_report
from hauberk.lifecycle.updating import contest, preparing
from hauberk.lifecycle.updating.batches import Batch
from hauberk.lifecycle.updating.history import (
    ANCHOR,
    CHAMPION,
    History,
    dataset,
    read_history,
    trained,
)
from hauberk.project import Project, check_against
from hauberk.project.opening import open_workshop
from hauberk.records import lineage
from hauberk.records.steps import Done, Listener, Steps
from hauberk.records.workshop import Clock, Logged, Workshop, utc_now

PROMOTED, REFUSED = "update.promoted", "update.refused"
ASKED = "asked"  # the reason that is logged when none was given
_EPOCHS, _WARM = 30, 3  # a warm start gets a third of the training's epochs


@dataclass(frozen=True, slots=True)
class Updated:
    """The result of an update. made: the new release, None when the champion stays. key_id: of the signer."""

    champion: Made
    made: Made | None
    batch: int | None
    start: str
    reasons: tuple[str, ...]
    verdict: Verdict
    compared: tuple[Compared, ...]
    alarms: tuple[str, ...]
    aside: int
    notes: tuple[str, ...]
    release: Path
    report: Path
    steps: tuple[Done, ...]
    key_id: str

    @property
    def promoted(self) -> bool:
        """Whether the challenger is released."""
        return self.made is not None

    def to_json(self) -> dict[str, Any]:
        """Return the document of `hauberk update --json`."""
        return {
            "ok": self.promoted,
            "due": True,
            "promoted": self.promoted,
            "reasons": list(self.reasons),
            "champion": self.champion.to_json(),
            "release": str(self.release),
            "made": None if self.made is None else self.made.to_json(),
            "batch": self.batch,
            "start": self.start,
            "rules": [ruling.to_json() for ruling in self.verdict.rulings],
            "comparisons": [one.to_json() for one in self.compared],
            "regressed": [str(one) for one in self.compared if one.regressed],
            "alarms": list(self.alarms),
            "set_aside": self.aside,
            "notes": list(self.notes),
            "report": str(self.report),
            "key": self.key_id,
            "steps": [{"name": s.name, "cached": s.cached, "seconds": s.seconds} for s in self.steps],
        }


def update(  # noqa: PLR0913 - what is new, how to begin, and what tests and other front ends replace
    folder: Path | str = ".",
    *,
    data: Sequence[str] = (),
    cold: bool = False,
    reasons: Sequence[str] = (),
    source: str = "",
    by: Principal = UNKNOWN,
    passphrase: Callable[[], bytes] | None = None,
    progress: Progress | None = None,
    listener: Listener | None = None,
    clock: Clock = utc_now,
    seen: Seen | None = None,
    disk: Disk | None = None,
) -> Updated:
    """Train a challenger with the rows in the files `data`, and release it if the gate passes and nothing regressed.

    data: files of the same form as the declared ones; () to train again on the known rows, which needs a reason. cold: train from
    scratch, whatever the project says. reasons: why, such as "schedule" or "incident:ID". source: where the rows come from.
    by: who runs it; evidence and events name it.
    Raises InvalidInput for rows, a project or a history that cannot be used, Refused for files that break the schema and for
    poison where the policy is to stop, NotProven when release, ledger or store were tampered with, Unavailable as `protect`.
    Whatever is raised, the champion is served, finished steps are kept, and the same call continues.
    """
    project = projects.load(Path(folder))
    disk = disk or Disk()
    with open_workshop(
        project, passphrase=passphrase, clock=clock, seen=seen, disk=disk, by=by, job="update"
    ) as workshop:
        steps = Steps(workshop, progress=progress or Progress(), listener=listener, disk=disk, folder="update")
        history = read_history(project, workshop, seen=seen)
        _check(project, history, data, reasons)
        batch = preparing.take_in(project, workshop, history, data, source) if data else None
        new = [] if batch is None else [batch]
        job = preparing.job_of(project, workshop, steps, disk, history, new)
        told = _Told(tuple(reasons) or (ASKED,), batch, history)
        try:
            about, found = preparing.vet(job, history, new, batch, data)
        except Refused as error:
            workshop.attest(told.event(workshop, REFUSED, why=[str(error)]))
            raise
        preparing.extend(job, about, history, new)
        start, notes = _start(project, workshop, history, cold=cold)
        models = train_models(
            job, about, start=start, plain=_asks_plain(project), epochs=_epochs(project) if start else None
        )
        champion, anchor = _rivals(project, workshop, history)
        compared, untold = contest.compete(job, about, models[-1], champion, anchor)
        if len(models) > 1:
            _attack_plain(job, about, models[0])
        prove_export(job, about, models[-1])
        verdict = decide(job, about, models, _logged(steps))
        judged = _logged(steps)
        why = [str(ruling.rule) for ruling in verdict.rulings if not ruling.holds]
        event = told.event(
            workshop, PROMOTED if verdict.allowed else REFUSED, challenger=models[-1].digest, why=why
        )
        workshop.attest(event)
        if verdict.allowed:
            make_release(
                job, about, models, judged, made_by="update", batch=None if batch is None else batch.number
            )
        made = releases.releases(workshop.records)[-1] if verdict.allowed else None
        key_id = workshop.signer.public.key_id
    return Updated(
        history.champion,
        made,
        None if batch is None else batch.number,
        "cold" if start is None else "warm",
        told.reasons,
        verdict,
        compared,
        tuple(alarm for one in found for alarm in one.alarms),
        len(job.aside),
        (*notes, *untold),
        project.folder / releases.FOLDER,
        write_report(project.folder, disk=disk),
        tuple(steps.done),
        key_id,
    )


def trust(  # noqa: PLR0913 - all but folder, reason and principal are for tests and other front ends
    folder: Path | str = ".",
    *,
    reason: str = "",
    by: Principal = UNKNOWN,
    passphrase: Callable[[], bytes] | None = None,
    clock: Clock = utc_now,
    seen: Seen | None = None,
) -> int:
    """Vouch for all rows that the served release learned from, and return the ledger entry that records it. by: who vouches.

    New rows are compared with them from then on. Nothing else moves the trusted state, so a slow drip cannot. Raises as
    `update`, and InvalidInput when these rows are trusted already.
    """
    project = projects.load(Path(folder))
    with open_workshop(project, passphrase=passphrase, clock=clock, seen=seen, by=by, job="trust") as workshop:
        history = read_history(project, workshop, seen=seen)
        if not history.probation:
            raise InvalidInput(f"all rows that release {history.champion.number} learned from are trusted already.")
        event = lineage.transaction(
            workshop,
            lineage.TRUSTED,
            inputs=tuple(batch.subject for batch in history.probation),
            outputs=(dataset(history.manifest.about["data"]),),
            reason=reason[:500],
        )
        return workshop.attest(event).index


@dataclass(frozen=True, slots=True)
class _Told:
    """What the event at the end of every update says, promoted or refused."""

    reasons: tuple[str, ...]
    batch: Batch | None
    history: History

    def event(self, workshop: Workshop, name: str, **details: Any) -> Any:  # noqa: ANN401 - JSON in, a Statement out
        subjects = [Subject("champion", self.history.champion.model)]
        if self.batch is not None:
            subjects.append(self.batch.subject)
        if "challenger" in details:
            subjects.append(Subject("challenger", details["challenger"]))
        return workshop.event(
            name,
            tuple(subjects),
            reasons=list(self.reasons),
            batch=None if self.batch is None else self.batch.digest,
            champion=self.history.champion.number,
            **details,
        )


def _check(project: Project, history: History, data: Sequence[str], reasons: Sequence[str]) -> None:
    if project.model.way == "onnx":
        raise InvalidInput(
            "an ONNX file is not trained here, so it cannot be updated here: bring the new file and run `hauberk protect`."
        )
    if not data and not reasons:
        raise InvalidInput(
            "there is nothing new: name files with --data, or give a --reason to train again on the known rows."
        )
    base = history.base.train
    check_against(project, base.columns, base.classes, base.x.shape[1:])


def _start(
    project: Project, workshop: Workshop, history: History, *, cold: bool
) -> tuple[Trained | None, tuple[str, ...]]:
    """Return the model that training starts from, None for a cold start, and the reason when it differs from the declared."""
    if cold or project.update.start == "cold":
        return None, ()
    names = {subject.name for subject in history.champion.models}
    if WEIGHTS not in names:
        return None, ("The champion is no torch model, so the challenger was trained from scratch.",)
    if project.model.way == "train":
        return None, (
            "The team's own training function has no warm start: the challenger was trained from scratch.",
        )
    return trained(workshop, project.folder / releases.FOLDER, history.champion, role=CHAMPION), ()


def _rivals(project: Project, workshop: Workshop, history: History) -> tuple[Trained, Trained | None]:
    place = project.folder / releases.FOLDER
    champion = trained(workshop, place, history.champion, role=CHAMPION)
    if history.anchor.model == history.champion.model:
        return champion, None
    return champion, trained(workshop, place, history.anchor, role=ANCHOR)


def _asks_plain(project: Project) -> bool:
    """Whether a rule of the gate reads the plain model; without such a rule it is not trained again."""
    return any(rule.metric.startswith("plain.") for rule in project.gate)


def _attack_plain(job: Job, about: About, plain: Trained) -> None:
    from hauberk.lifecycle.main.attack import attack_models

    attack_models(job, about, [plain])


def _epochs(project: Project) -> int:
    return project.update.epochs or max(1, (project.training.epochs or _EPOCHS) // _WARM)


def _logged(steps: Steps) -> list[Logged]:
    """Return every attestation of this run so far, in the order of the ledger's steps."""
    return [logged for done in steps.done for logged in done.logged]
