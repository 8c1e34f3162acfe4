"""`hauberk verify RELEASE`: nine numbered steps, each with its findings, and the one that failed."""

from __future__ import annotations

from pathlib import Path

import click

from hauberk.cli._output import Output, json_option


@click.command("verify")
@click.argument("release", type=click.Path(path_type=Path))
@click.option("--key", metavar="PEM|KEYID", help="The signer's public key (PEM file) or key id.")
@click.option("--keys", metavar="URI", help="Keys to open sealed models, such as keyring:.hauberk/keyring.")
@json_option
@click.pass_context
def verify(ctx: click.Context, release: Path, key: str | None, keys: str | None, json: bool) -> None:  # noqa: FBT001 - a flag of the command line
    """Prove a release offline, step by step. With exit code 1, the output names the step that failed."""
    from hauberk.release.verification import check

    out = Output(json)
    verification = check(release, key=_public(key), keys=_service(keys))
    out.document(verification.to_json())
    for step in verification.steps:
        mark = {True: "[green]✔[/]", False: "[bold red]✘[/]", None: "[dim]·[/]"}[step.ok]
        out.console.print(f"{mark} {step.number} [bold]{step.name:<13}[/]", end="")
        out.console.print(step.detail, markup=False, style="dim" if step.ok is None else "", soft_wrap=True)
    for warning in verification.warnings:
        out.console.print("[yellow]![/] ", end="")
        out.console.print(warning, markup=False, soft_wrap=True)
    failed = verification.failed
    if failed is None:
        out.console.print("[bold green]proven[/]: every byte of this release is as it was signed.")
    else:
        out.console.print(f"[bold red]not proven[/]: step {failed.number} ({failed.name}) failed. Do not use it.")
        ctx.exit(1)


def _public(text: str | None):  # type: ignore[no-untyped-def]  # noqa: ANN202 - PublicKey | str | None, imported late
    from hauberk.core.errors import InvalidInput
    from hauberk.custody.keys.port import PublicKey

    if text is None:
        return None
    if Path(text).is_file():
        return PublicKey.from_pem(Path(text).read_bytes())
    if len(text) == 64 and all(c in "0123456789abcdefABCDEF" for c in text):
        return text
    raise InvalidInput(f"--key {text!r} is neither a PEM file nor a key id of 64 hex digits.")


def _service(uri: str | None):  # type: ignore[no-untyped-def]  # noqa: ANN202 - KeyService | None, imported late
    from hauberk.custody.keys import open_keys
    from hauberk.custody.keys.standing import standing_passphrase

    return None if uri is None else open_keys(uri, passphrase=standing_passphrase())
