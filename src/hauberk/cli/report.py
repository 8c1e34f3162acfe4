"""`hauberk report [DIR]`: write the report again, from the ledger and the artifacts that it names."""

from __future__ import annotations

from pathlib import Path

import click

from hauberk.cli._output import Output, OutputPath, json_option


@click.command("report")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option("--output", type=OutputPath(), help="Where to write the page; default: DIR/report.html.")
@json_option
def report(folder: Path, output: Path | None, json: bool) -> None:  # noqa: FBT001 - a flag of the command line
    """Write the report again from the ledger. Measures and logs nothing; needs neither lock nor passphrase."""
    from hauberk.lifecycle.reporting import write_report

    out = Output(json)
    path = write_report(folder, output)
    out.document({"report": str(path)})
    out.console.print(f"the report: {path}", soft_wrap=True)
