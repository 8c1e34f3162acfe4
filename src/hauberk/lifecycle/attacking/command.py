"""The job of `hauberk attack`: find data, threat and model, run the campaign, write the page, then log the evidence.

1. measure      `attack`; nothing is written before the campaign has ended
2. the page     written next, so that nothing that follows can lose it
3. the ledger   `record`; it never raises: an error is returned beside the result

A result took minutes or hours; a wrong passphrase, a full disk, a changed ledger or an interrupt while the evidence is
logged must not lose it. The caller shows the result together with the reason why it is not in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hauberk import project as projects
from hauberk.core import outputs
from hauberk.core.errors import HauberkError, InvalidInput
from hauberk.core.principal import UNKNOWN, Principal
from hauberk.core.progress import Progress
from hauberk.core.threats import Evasion
from hauberk.custody.keys import KeyService, open_keys
from hauberk.custody.keys.standing import standing_passphrase
from hauberk.data.reading.inspection import understood
from hauberk.data.reading.loading import DataSpec
from hauberk.lifecycle.attacking.aims import Aim, aim_of, choose, read_aim
from hauberk.lifecycle.attacking.endpoint import Access
from hauberk.lifecycle.attacking.measuring import Outcome, attest, measure
from hauberk.lifecycle.attacking.page import page
from hauberk.lifecycle.attacking.targets import Rows, open_rows, open_target
from hauberk.project import Project
from hauberk.project.opening import HOME, open_workshop
from hauberk.records.workshop import Logged, rfc3339, utc_now

_INTERRUPTED, _FAULT = 130, 70


@dataclass(frozen=True, slots=True)
class Request:
    """What to attack, with which rows, under which threat, and how far to go.

    model: a release folder, .safetensors (with `build`), .onnx, module:function, or https://host/v2/models/NAME. files:
    rows to attack with, or a project's folder; () takes those of the project. tests, kind, target, drop, size: how the
    files are read. threat: as `aims.read_aim`; "" takes the project's first evasion threat. attacks: NAME or
    NAME:parameter=value; () takes the usual ones. label: attack only rows of this class. most: rows at most. precision:
    half-width at which to stop. curve: measure other radii; None: yes, except for endpoints. project: the folder whose
    ledger gets the evidence. log: whether to log at all. key: pins a release's signer. keys: URI that opens a sealed
    release. access: how an endpoint is reached. report: where the page goes.
    """

    model: str
    files: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    kind: Literal["image", "table"] | None = None
    target: str = ""
    drop: tuple[str, ...] = ()
    size: int | None = None
    threat: str = ""
    attacks: tuple[str, ...] = ()
    build: str = ""
    label: str | None = None
    most: int | None = 1000
    precision: float | None = None
    confidence: float = 0.95
    curve: bool | None = None
    seed: int = 0
    project: Path | None = None
    log: bool = True
    key: str | None = None
    keys: str | None = None
    access: Access | None = None
    report: Path | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that could not be written after the measurement. reason: in one sentence. exit_code: of the process."""

    reason: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class Result:
    """A finished campaign. page: where its page is, None when none was asked for or it failed. project: whose ledger is meant."""

    request: Request
    outcome: Outcome
    project: Project | None
    page: Path | None
    page_failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of logging: the ledger entry, or a failure, or neither when nothing was to be logged."""

    logged: Logged | None = None
    failure: Failure | None = None


def attack(
    request: Request, *, passphrase: Callable[[], bytes] | None = None, progress: Progress | None = None
) -> Result:
    """Run the campaign and write its page. Logs nothing: `record` does.

    passphrase: opens the keys of a sealed release; default: as `custody.keys.standing` looks for it.
    Raises InvalidInput for a model, data, threat or attack that cannot be used, NotProven for a release that does not
    verify, Unavailable when a service is out of reach before anything was measured. An interrupt, and a service that
    goes away later, give a partial outcome. A page that cannot be written is a failure in the result.
    """
    progress = progress or Progress(visible=False)
    project = _project(request)
    folder = project.folder if project is not None else Path.cwd()
    with progress.task("Loading the data"):
        rows = _rows(request, project)
        aim = _aim(request.threat, project, rows)
        rows = rows if request.label is None else rows.of(request.label)
    with progress.task("Opening the model") as task:
        keys = _keys(request, project, passphrase)
        target = open_target(
            request.model, rows, build=request.build, folder=folder, key=request.key, keys=keys, access=request.access,
            seed=request.seed, task=task,
        )  # fmt: skip
    labels_only = bool(getattr(target.model, "labels_only", False))
    chosen = choose(request.attacks, target.model, aim, kind=rows.attacked.kind, labels_only=labels_only)
    with progress.task(f"Attacking {request.model}") as task:
        outcome = measure(
            target, rows, aim, attacks=chosen, seed=request.seed, most=request.most, precision=request.precision,
            confidence=request.confidence, curve=not target.remote if request.curve is None else request.curve,
            task=task,
        )  # fmt: skip
    written, failure = _page(request, outcome)
    return Result(request, outcome, project, written, failure)


def record(result: Result, *, passphrase: Callable[[], bytes] | None = None, by: Principal = UNKNOWN) -> Recorded:
    """Sign the evidence and log it in the project's ledger; never raises, so that the result is not lost.

    Nothing is logged without a project, with `log=False`, or when the project was not named and has no ledger yet.
    by: who ran the campaign.
    """
    project, request = result.project, result.request
    if project is None or not request.log:
        return Recorded()
    if request.project is None and not (project.folder / HOME / "ledger" / "checkpoint").is_file():
        return Recorded()
    try:
        with open_workshop(project, passphrase=passphrase, by=by) as workshop:
            return Recorded(logged=attest(workshop, result.outcome))
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - hours of measurement are worth more than its cause
        return Recorded(failure=_failure(error))


def exit_code(result: Result, recorded: Recorded) -> int:
    """Return the code of the process.

    0: measured, and everything asked for is written. 130: interrupted; 4: a service went away; the result is partial.
    Else the result is complete and the page or the evidence could not be written: 1, 2 or 4 as the error tree has it, 130
    for an interrupt while logging, 70 for a fault of Hauberk.
    """
    partial = result.outcome.campaign.partial
    if partial:
        return _INTERRUPTED if partial == "interrupted" else 4
    failures = [one for one in (recorded.failure, result.page_failure) if one is not None]
    return failures[0].exit_code if failures else 0


def document(result: Result, recorded: Recorded) -> dict[str, Any]:
    """Return the document of `hauberk attack --json`: complete, whether or not it could be logged."""
    outcome = result.outcome
    return {
        "type": "hauberk.attack",
        "version": 2,
        "ok": recorded.failure is None and result.page_failure is None,
        "partial": outcome.campaign.partial,
        "parameters": dict(outcome.parameters),
        "subjects": [{"name": s.name, "sha256": s.sha256} for s in outcome.subjects],
        "metrics": {name: float(value) for name, value in outcome.measurement.metrics.items()},
        "series": {name: list(points) for name, points in outcome.measurement.series.items()},
        "findings": [finding.to_json() for finding in outcome.measurement.findings],
        "notes": list(outcome.measurement.notes),
        "ledger_entry": None if recorded.logged is None else recorded.logged.index,
        "not_logged": "" if recorded.failure is None else recorded.failure.reason,
        "report": None if result.page is None else str(result.page),
        "not_written": "" if result.page_failure is None else result.page_failure.reason,
    }


def is_endpoint(model: str) -> bool:
    """Whether a model is named by the address of a service."""
    return model.startswith(("http://", "https://"))


def _failure(error: BaseException) -> Failure:
    if isinstance(error, HauberkError):
        return Failure(str(error), error.exit_code)
    if isinstance(error, KeyboardInterrupt):
        return Failure("interrupted while the evidence was being logged.", _INTERRUPTED)
    # No text of an unforeseen error: it may hold a secret.
    return Failure(f"{type(error).__name__} while writing; please report it.", _FAULT)


def _page(request: Request, outcome: Outcome) -> tuple[Path | None, Failure | None]:
    if request.report is None:
        return None, None
    try:
        text = page(outcome, name=request.model, time=rfc3339(utc_now()))
        outputs.write(request.report, text.encode())
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - as in record
        return None, _failure(error)
    return request.report, None


def _project(request: Request) -> Project | None:
    """Return the project that is named, or that `files` names, or that is in the current folder."""
    places = [request.project, *(Path(name) for name in request.files[:1])]
    for place in places:
        if place is not None and (Path(place) / projects.FILE_NAME).is_file():
            return projects.load(place)
    if request.project is not None:
        return projects.load(request.project)
    return projects.load(Path.cwd()) if Path(projects.FILE_NAME).is_file() else None


def _rows(request: Request, project: Project | None) -> Rows:
    fit = ":" in request.model and not is_endpoint(request.model) and not Path(request.model).exists()
    files = request.files
    if project is not None and (not files or Path(files[0]).resolve() == project.folder.resolve()):
        return open_rows(project.data, seed=project.seed, fit=fit, test_side=True)
    if not files:
        raise InvalidInput("no data are named: add --data FILE, or run this in a project's folder.")
    kind, target, _ = understood(files, kind=request.kind, target=request.target, size=request.size)
    spec = DataSpec(kind, files, request.tests, target, drop=request.drop, size=request.size)
    return open_rows(spec, seed=request.seed, fit=fit, test_side=bool(request.tests))


def _aim(spec: str, project: Project | None, rows: Rows) -> Aim:
    data = rows.attacked
    if spec:
        return read_aim(spec, kind=data.kind, columns=data.columns)
    declared = [] if project is None else [d for d in project.threats if isinstance(d.threat, Evasion)]
    if not declared:
        raise InvalidInput("no threat is named: add --threat linf:8/255, or FILE.toml#label of a declared one.")
    return aim_of(declared[0], kind=data.kind, columns=data.columns)


def _keys(request: Request, project: Project | None, passphrase: Callable[[], bytes] | None) -> KeyService | None:
    """Open the keys of a release folder, and for nothing else: opening may ask for a passphrase."""
    if not Path(request.model).is_dir():
        return None
    uri = request.keys
    if uri is None and project is not None and (project.folder / HOME).is_dir():
        uri = project.keys.uri
    return None if uri is None else open_keys(uri, passphrase=passphrase or standing_passphrase())
