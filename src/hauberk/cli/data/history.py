"""`hauberk data history`: the lineage from sources to models, from the ledger alone."""

from __future__ import annotations

from pathlib import Path

import click

from hauberk.cli._output import Output, OutputPath, json_option
from hauberk.cli._sealing import HOME
from hauberk.cli.data._project import project_option


@click.command("history")
@click.argument("name", default="")
@click.option("--svg", "picture", type=OutputPath(), help="Write a picture here.")
@click.option("--html", "page", type=OutputPath(), help="Write a page here.")
@project_option
@json_option
def history(*, name: str, picture: Path | None, page: Path | None, folder: Path, json: bool) -> None:
    """Draw the events of all data, or of the set or model NAME: source, principal, time and results.

    Every event is read from the ledger, its proof and its signature checked. Two events are linked when an output of one
    has the digest of an input of the other. Needs neither lock nor passphrase.
    """
    from hauberk.core import outputs
    from hauberk.core.progress import Progress
    from hauberk.records import lineage, lineage_graph
    from hauberk.report import lineage_picture

    with Progress(visible=False if json else None).task("Reading the ledger"):
        nodes = lineage_graph.about(lineage_graph.graph(lineage.read(folder / HOME)), name)
    title = f"Lineage of {name}" if name else "Lineage"
    shown = lineage_graph.folded(nodes)
    for place, data in ((picture, lineage_picture.svg), (page, lambda found: lineage_picture.page(found, title))):
        if place is not None:
            outputs.write(place, str(data(shown)).encode("utf-8"))
    out = Output(json)
    out.document(
        {
            "name": name,
            "transactions": [node.of.to_json() | {"parents": list(node.parents)} for node in nodes],
            "svg": None if picture is None else str(picture),
            "html": None if page is None else str(page),
        }
    )
    if not json:
        out.console.print(lineage_picture.tree(shown, title))
