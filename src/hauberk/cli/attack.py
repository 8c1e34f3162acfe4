"""`hauberk attack`: attack any model that can be loaded safely, and measure its robust accuracy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hauberk.cli._output import Output, OutputPath, json_option
from hauberk.core.text import visible

if TYPE_CHECKING:
    from hauberk.lifecycle.attacking import Outcome
    from hauberk.lifecycle.attacking.command import Recorded, Result
    from hauberk.lifecycle.attacking.endpoint import Access


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
    """Attack MODEL and measure its robust accuracy, with an exact confidence interval.

    MODEL is a release folder (verified first), a .safetensors file with --build, an .onnx file, module:function of a
    scikit-learn estimator, which is fitted on the data, or https://host/v2/models/NAME (Open Inference Protocol).
    In a project's folder, --data and --threat default to the project's. Ctrl-C gives the result so far (exit 130). Page
    and result come first; evidence that cannot be logged is reported with the reason, and costs nothing else.
    """
    from hauberk.cli._principal import principal
    from hauberk.core.progress import Progress
    from hauberk.lifecycle.attacking import command

    out = Output(json)
    request = command.Request(
        model,
        files=given["files"],
        tests=given["tests"],
        kind=given["kind"],
        target=given["target"],
        drop=given["drop"],
        size=given["size"],
        threat=given["threat"] or "",
        attacks=given["names"],
        build=given["build"],
        label=given["label"],
        most=given["most"],
        precision=given["precision"],
        confidence=given["confidence"],
        curve=given["curve"],
        seed=given["seed"],
        project=given["project"],
        log=not given["no_log"],
        key=given["key"],
        keys=given["keys"],
        access=_access(given) if command.is_endpoint(model) else None,
        report=given["report"],
    )
    result = command.attack(request, progress=Progress(visible=False if json else None))
    if not json:
        _show(out, result)
    recorded = command.record(result, by=principal())
    out.document(command.document(result, recorded))
    _say_record(out, result, recorded)
    ctx.exit(command.exit_code(result, recorded))


def _access(given: dict[str, Any]) -> Access:
    """Return how an endpoint is reached. Headers come from the environment, because process lists show arguments."""
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


def _show(out: Output, result: Result) -> None:
    from rich.markup import escape
    from rich.table import Table

    from hauberk.lifecycle.attacking.page import sentence, table

    outcome, say = result.outcome, out.console.print
    found = outcome.campaign
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
    if result.page is not None:
        say(f"page     {escape(str(result.page))}", soft_wrap=True)


def _say_record(out: Output, result: Result, recorded: Recorded) -> None:
    """Say where the evidence is, or why it is nowhere; errors go to standard error, under --json too."""
    if recorded.logged is not None:
        out.console.print(f"ledger entry {recorded.logged.index}, {recorded.logged.digest[:16]}")
    for what, failure in (("the evidence was not logged", recorded.failure), ("no page", result.page_failure)):
        if failure is not None:
            click.secho(f"{what}: ", err=True, nl=False, fg="red", bold=True)
            click.echo(visible(f"{failure.reason} The result above is complete."), err=True)


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
