"""`hauberk attack`: attack any model that can be loaded safely, and say how much of it stands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hauberk.cli._output import Output, OutputPath, json_option

if TYPE_CHECKING:
    from hauberk.data.reading.loading import DataSpec
    from hauberk.lifecycle.attacking import Aim, Outcome, Rows
    from hauberk.lifecycle.attacking.endpoint import Access
    from hauberk.project import Project
    from hauberk.records.workshop import Logged


@click.command("attack")
@click.argument("model")
@click.option(
    "--data", "files", multiple=True, help="Rows to attack with: files, or a project's folder; may be repeated."
)
@click.option("--threat", help="linf:8/255, l2:0.5, patch:0.1, spatial:30,3, corruptions:3, or FILE.toml#label.")
@click.option("--attack", "names", multiple=True, help="NAME or NAME:steps=100,restarts=2; may be repeated.")
@click.option("--build", default="", help="module:function that builds the module whose weights are attacked.")
@click.option("--kind", type=click.Choice(["image", "table"]), help="What the files hold, in place of a guess.")
@click.option("--target", default="", help="The column or key that is predicted, in place of a guess.")
@click.option("--test", "tests", multiple=True, help="A file of the test side, which is attacked; may be repeated.")
@click.option("--class", "label", help="Attack only rows of this class, such as claims that are fraud.")
@click.option("--drop", multiple=True, help="A column to leave out; may be repeated.")
@click.option("--size", type=click.IntRange(1, 4096), help="Resize pictures in folders to this many pixels a side.")
@click.option(
    "--rows", "most", type=click.IntRange(min=1), default=1000, show_default=True, help="Attack no more rows."
)
@click.option(
    "--precision",
    type=click.FloatRange(0, 0.5, min_open=True, max_open=True),
    help="Stop once robust accuracy is known to this on either side, such as 0.03.",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    help="Of the interval.",
)
@click.option("--curve/--no-curve", default=None, help="Measure other radii too; off for endpoints.")
@click.option("--report", type=OutputPath(), help="Write a page with plots and examples here.")
@click.option("--seed", default=0, show_default=True, help="Of rows, draws and fitting.")
@click.option(
    "--project",
    type=click.Path(path_type=Path, file_okay=False),
    help="The project whose ledger gets the evidence.",
)
@click.option("--no-log", is_flag=True, help="Log nothing, though there is a project.")
@click.option("--key", metavar="KEYID", help="Pins who signed a release.")
@click.option("--keys", metavar="URI", help="Open a sealed release with these keys.")
@click.option(
    "--ca", type=click.Path(path_type=Path, exists=True), help="Authorities that an endpoint is trusted by."
)
@click.option(
    "--cert", type=click.Path(path_type=Path, exists=True), help="Certificate to show to an endpoint (mTLS)."
)
@click.option("--cert-key", type=click.Path(path_type=Path, exists=True), help="Its private key.")
@click.option("--header-env", multiple=True, metavar="NAME=VARIABLE", help="A request header from the environment.")
@click.option(
    "--batch", type=click.IntRange(1), default=64, show_default=True, help="Rows of a request to an endpoint."
)
@json_option
@click.pass_context
def attack(ctx: click.Context, /, *, model: str, json: bool, **given: Any) -> None:  # noqa: ANN401 - click's options
    """Attack MODEL and measure how much of it stands, with an exact confidence interval.

    MODEL is a release folder (verified first), a .safetensors file with --build, an .onnx file, module:function of a
    scikit-learn estimator, which is fitted on the data, or https://host/v2/models/NAME (Open Inference Protocol).
    In a project's folder, --data and --threat default to the project's. Ctrl-C gives the result so far (exit 130).
    """
    from hauberk.core.progress import Progress
    from hauberk.lifecycle.attacking import measure, open_rows, open_target
    from hauberk.lifecycle.attacking.aims import choose

    out, progress = Output(json), Progress(visible=False if json else None)
    project = _project(given)
    folder = project.folder if project is not None else Path.cwd()
    with progress.task("Loading the data"):
        rows = open_rows(**_data(given, project), fit=_is_builder(model))
        aim = _aim(given["threat"], project, rows)
        rows = rows if given["label"] is None else rows.of(given["label"])
    with progress.task("Opening the model") as task:
        access = _access(given) if model.startswith("http") else None
        target = open_target(
            model, rows, build=given["build"], folder=folder, key=given["key"], keys=_keys(given, project, model),
            access=access,
            seed=given["seed"], task=task,
        )  # fmt: skip
    labels_only = bool(getattr(target.model, "labels_only", False))
    chosen = choose(given["names"], target.model, aim, kind=rows.attacked.kind, labels_only=labels_only)
    with progress.task(f"Attacking {model}") as task:
        outcome = measure(
            target, rows, aim, attacks=chosen, seed=given["seed"], most=given["most"], precision=given["precision"],
            confidence=given["confidence"], curve=not target.remote if given["curve"] is None else given["curve"],
            task=task,
        )  # fmt: skip
    logged = _log(given, project, outcome)
    if given["report"] is not None:
        _write(given["report"], outcome, model)
    out.document(_document(outcome, logged, given["report"]))
    if not json:
        _show(out, outcome, logged, given["report"])
    if outcome.campaign.partial:
        ctx.exit(130 if outcome.campaign.partial == "interrupted" else 4)


def _project(given: dict[str, Any]) -> Project | None:
    """Return the project that is named, or that --data names, or that stands here."""
    from hauberk import project as projects

    places = [given["project"], *(Path(name) for name in given["files"][:1])]
    for place in places:
        if place is not None and (Path(place) / projects.FILE_NAME).is_file():
            return projects.load(place)
    if given["project"] is not None or not Path(projects.FILE_NAME).is_file():
        return projects.load(given["project"]) if given["project"] is not None else None
    return projects.load(Path.cwd())


def _data(given: dict[str, Any], project: Project | None) -> dict[str, Any]:
    """Return what `open_rows` is told: the project's data where none are named."""
    from hauberk.core.errors import InvalidInput
    from hauberk.data.reading.inspection import understood
    from hauberk.data.reading.loading import DataSpec

    files: tuple[str, ...] = given["files"]
    if project is not None and (not files or Path(files[0]).resolve() == project.folder.resolve()):
        return {"spec": project.data, "seed": project.seed, "test_side": True}
    if not files:
        raise InvalidInput("no data are named: add --data FILE, or run this in a project's folder.")
    kind, target, _ = understood(files, kind=given["kind"], target=given["target"], size=given["size"])
    spec: DataSpec = DataSpec(kind, files, given["tests"], target, drop=given["drop"], size=given["size"])
    return {"spec": spec, "seed": given["seed"], "test_side": bool(given["tests"])}


def _aim(spec: str | None, project: Project | None, rows: Rows) -> Aim:
    from hauberk.core.errors import InvalidInput
    from hauberk.core.threats import Evasion
    from hauberk.lifecycle.attacking import read_aim
    from hauberk.lifecycle.attacking.aims import aim_of

    data = rows.attacked
    if spec is not None:
        return read_aim(spec, kind=data.kind, columns=data.columns)
    declared = [] if project is None else [d for d in project.threats if isinstance(d.threat, Evasion)]
    if not declared:
        raise InvalidInput("no threat is named: add --threat linf:8/255, or FILE.toml#label of a declared one.")
    return aim_of(declared[0], kind=data.kind, columns=data.columns)


def _is_builder(model: str) -> bool:
    return ":" in model and not model.startswith("http") and not Path(model).exists()


def _keys(given: dict[str, Any], project: Project | None, model: str) -> Any:  # noqa: ANN401 - KeyService | None, imported late
    """Open the keys of a release, and of nothing else: it may ask for a passphrase."""
    from hauberk.custody.keys import open_keys
    from hauberk.custody.keys.standing import standing_passphrase

    if not Path(model).is_dir():
        return None
    uri = given["keys"]
    if uri is None and project is not None and (project.folder / ".hauberk").is_dir():
        uri = project.keys.uri
    return None if uri is None else open_keys(uri, passphrase=standing_passphrase())


def _access(given: dict[str, Any]) -> Access:
    """Return how an endpoint is reached. Headers come from the environment: arguments stand in process lists."""
    from hauberk.core.errors import InvalidInput
    from hauberk.core.tls import client_context
    from hauberk.lifecycle.attacking.endpoint import Access

    headers: dict[str, str] = {}
    for text in given["header_env"]:
        name, _, variable = text.partition("=")
        if not variable or variable not in os.environ:
            raise InvalidInput(f"--header-env {text}: expected NAME=VARIABLE with a variable that is set.")
        headers[name] = os.environ[variable]
    context = client_context(ca=given["ca"], certificate=given["cert"], key=given["cert_key"])
    return Access(context=context, headers=headers, batch=given["batch"])


def _log(given: dict[str, Any], project: Project | None, outcome: Outcome) -> Logged | None:
    """Sign and log the evidence where there is a project with a ledger."""
    from hauberk.cli._principal import principal
    from hauberk.custody.keys.standing import standing_passphrase
    from hauberk.lifecycle.attacking import attest
    from hauberk.records.workshop import Workshop

    if project is None or given["no_log"]:
        return None
    home = project.folder / ".hauberk"
    if given["project"] is None and not (home / "ledger" / "checkpoint").is_file():
        return None
    with Workshop.open(
        home,
        name=project.name,
        keys_uri=project.keys.uri,
        algorithm=project.keys.signing,
        passphrase=standing_passphrase(),
        by=principal(),
    ) as workshop:
        return attest(workshop, outcome)


def _write(path: Path, outcome: Outcome, model: str) -> None:
    from hauberk.core import outputs
    from hauberk.lifecycle.attacking.page import page
    from hauberk.records.workshop import rfc3339, utc_now

    outputs.write(path, page(outcome, name=model, time=rfc3339(utc_now())).encode())


def _document(outcome: Outcome, logged: Logged | None, report: Path | None) -> dict[str, Any]:
    found = outcome.campaign
    return {
        "type": "hauberk.attack",
        "version": 1,
        "ok": True,
        "partial": found.partial,
        "parameters": dict(outcome.parameters),
        "subjects": [{"name": s.name, "sha256": s.sha256} for s in outcome.subjects],
        "metrics": {name: float(value) for name, value in outcome.measurement.metrics.items()},
        "series": {name: list(points) for name, points in outcome.measurement.series.items()},
        "findings": [finding.to_json() for finding in outcome.measurement.findings],
        "notes": list(outcome.measurement.notes),
        "ledger_entry": None if logged is None else logged.index,
        "report": None if report is None else str(report),
    }


def _show(out: Output, outcome: Outcome, logged: Logged | None, report: Path | None) -> None:
    from rich.markup import escape
    from rich.table import Table

    from hauberk.lifecycle.attacking.page import sentence, table

    found, say = outcome.campaign, out.console.print
    if found.partial:
        say(f"[bold yellow]partial[/]: {escape(found.partial)}. This is the result so far.", soft_wrap=True)
    shown = Table()
    for heading in ("attack", "rows given", "fooled", "success", "asked of a row", "median distance or cost"):
        shown.add_column(heading, justify="left" if heading == "attack" else "right")
    for row in table(outcome):
        shown.add_row(*(escape(row[name]) for name in ("name", "given", "fooled", "success", "asked", "distance")))
    say(shown)
    _examples(out, outcome)
    for note in outcome.measurement.notes:
        say(f"[dim]- {escape(note)}[/]", soft_wrap=True)
    colour = "red" if outcome.measurement.findings else "green"
    say(f"[bold {colour}]{escape(sentence(outcome))}[/]", soft_wrap=True)
    if logged is not None:
        say(f"ledger entry {logged.index}, {logged.digest[:16]}")
    if report is not None:
        say(f"page     {escape(str(report))}", soft_wrap=True)


def _examples(out: Output, outcome: Outcome) -> None:
    """Show rows of a table with their changes; pictures stand on the page."""
    import json

    from rich.markup import escape

    data = outcome.measurement.outputs.get("examples.json")
    document: dict[str, Any] = json.loads(data) if data else {"kind": "image", "examples": []}
    if document["kind"] != "table":
        return
    for example in document["examples"]:
        head = f"row {example['row']}: {example['before']['prediction']} → [bold red]{escape(example['after']['prediction'])}[/]"
        out.console.print(f"{head} [dim]cost {example['cost']:.4g}[/]")
        for change in example["changes"]:
            column = escape(change["column"])
            out.console.print(
                f"    {column}: {escape(change['from'])} → [bold]{escape(change['to'])}[/]", soft_wrap=True
            )
