"""`hauberk keys tls`: a small certificate authority, and certificates for servers and clients."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hauberk.cli._output import Output, json_option
from hauberk.cli._sealing import plain

if TYPE_CHECKING:
    from hauberk.custody.issuing import Issuance


@click.command("tls")
@click.argument("names", nargs=-1)
@click.option(
    "--ca",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".hauberk/tls"),
    show_default=True,
    help="The authority's folder; made if it does not exist.",
)
@click.option("--client", is_flag=True, help="NAMES are clients, which authenticate to servers (mTLS).")
@click.option("--days", type=click.IntRange(1, 397), default=90, show_default=True, help="Lifetime in days.")
@click.option(
    "--only",
    multiple=True,
    help="For a new authority: a domain or network that it may sign for; may be repeated.",
)
@json_option
def tls(  # noqa: PLR0913 - click's arguments
    *, names: tuple[str, ...], folder: Path, client: bool, days: int, only: tuple[str, ...], json: bool
) -> None:
    """Make a small certificate authority, and a certificate for each of NAMES; without NAMES, renew what is due.

    Write several names of one server as one word: api.example.org,10.0.0.7. Every machine gets ca.pem and its own two files;
    ca.key stays on the machine that issues. An existing certificate is renewed with the same key.
    """
    from hauberk.custody.issuing import issue

    done = issue(
        folder,
        [name.split(",") for name in names],
        now=datetime.now(UTC),
        authority=f"Hauberk CA of {Path.cwd().name}",
        client=client,
        days=days,
        only=only,
    )
    _show(Output(json), done)


def _show(out: Output, done: Issuance) -> None:
    from rich.table import Table

    authority, everything, fresh = done.authority, done.authority.issued(), {one.name for one in done.written}
    out.document(
        {
            "ca": str(authority.certificate),
            "ca_made": done.made,
            "ca_ends": authority.ends.isoformat(),
            "certificates": [
                {
                    "name": issued.name,
                    "names": list(issued.names),
                    "kind": "client" if issued.client else "server",
                    "certificate": str(issued.certificate),
                    "key": str(issued.key),
                    "ends": issued.ends.isoformat(),
                    "written": issued.name in fresh,
                }
                for issued in everything
            ],
        }
    )
    if done.made:
        out.console.print(
            f"Made an authority in [bold]{plain(authority.folder)}[/]. Keep ca.key on this machine alone."
        )
    table = Table("name", "for", "kind", "ends", "")
    for issued in everything:
        table.add_row(
            plain(issued.name),
            plain(", ".join(issued.names)),
            "client" if issued.client else "server",
            f"{issued.ends:%Y-%m-%d}",
            "[green]written[/]" if issued.name in fresh else "",
        )
    out.console.print(table)
    out.console.print(
        f"Machines trust {plain(authority.certificate)}, until {authority.ends:%Y-%m-%d}", soft_wrap=True
    )
