"""`hauberk keys`: make, rotate and show keys; `keys tls` is in a file of its own. Secrets are never printed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hauberk.cli._output import Output, json_option
from hauberk.cli._sealing import open_service
from hauberk.cli.keys_tls import tls

if TYPE_CHECKING:
    from hauberk.custody.keys import KeyService

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT = "keyring:.hauberk/keyring"
_ALGORITHMS = ("ed25519", "ecdsa-p256", "aes-256")


def keys_option(command: F) -> F:
    """Add `--keys` to a command, passed as `uri: str`."""
    return click.option(
        "--keys",
        "uri",
        metavar="URI",
        envvar="HAUBERK_KEYS",
        default=DEFAULT,
        show_default=True,
        help="The key holder, as SCHEME:PLACE.",
    )(command)


@click.group("keys")
def keys() -> None:
    """Make, rotate and show signing and encryption keys.

    The passphrase is read from HAUBERK_PASSPHRASE, from the file that HAUBERK_PASSPHRASE_FILE names, from the
    user's passphrase file if `hauberk protect` made one, or from a prompt.
    """


keys.add_command(tls)


@keys.command("list")
@keys_option
@json_option
def list_(uri: str, *, json: bool) -> None:
    """List the keys: name, algorithm, versions and current key id."""
    from hauberk.custody.keys.describing import listed

    rows = [asdict(one) for one in listed(open_service(uri))]
    out = Output(json)
    out.document({"keys": rows})
    if not rows:
        out.console.print("No keys yet. Make one with `hauberk keys create NAME`.")
        return
    # Not a rich table, which would cut key ids to the width of the terminal: they are there to be copied.
    width = max(len("name"), *(len(row["name"]) for row in rows))
    lines = [f"{'name':{width}}  algorithm   versions  current key id"]
    for row in rows:
        versions, key_id = row["versions"] or "-", row["key_id"] or "-"
        lines.append(f"{row['name']:{width}}  {row['algorithm']:10}  {versions:<8}  {key_id}")
    out.console.print("\n".join(lines), markup=False, soft_wrap=True)


@keys.command("create")
@click.argument("name")
@click.option("--algorithm", type=click.Choice(_ALGORITHMS), default="ed25519", show_default=True)
@keys_option
@json_option
def create(name: str, algorithm: str, uri: str, *, json: bool) -> None:
    """Make a key: ed25519 and ecdsa-p256 sign, aes-256 encrypts other keys."""
    service = open_service(uri, create=True)
    service.create(name, algorithm)
    _tell(service, name, "Made", json=json)


@keys.command("rotate")
@click.argument("name")
@keys_option
@json_option
def rotate(name: str, uri: str, *, json: bool) -> None:
    """Make a new version of a key. Old versions still verify and decrypt."""
    service = open_service(uri)
    service.rotate(name)
    _tell(service, name, "Rotated", json=json)


@keys.command("show")
@click.argument("name")
@keys_option
@json_option
def show(name: str, uri: str, *, json: bool) -> None:
    """Print the current public key as PEM, and every version's key id.

    The PEM alone goes to standard output, so that `hauberk keys show NAME > key.pem` gives a usable file.
    """
    service = open_service(uri)
    publics = service.publics(name)
    Output(json).document(
        {
            "name": name,
            "algorithm": publics[0].algorithm,
            "key_id": publics[0].key_id,
            "versions": [{"key_id": public.key_id, "pem": public.pem()} for public in publics],
        }
    )
    if json:
        return
    click.echo(publics[0].pem(), nl=False)
    for public in publics:
        age = "current" if public == publics[0] else "older"
        click.echo(f"key id {public.key_id} ({public.algorithm}, {age})", err=True)


@keys.command("passphrase")
@keys_option
@json_option
def passphrase(uri: str, *, json: bool) -> None:
    """Change the passphrase of a keyring.

    The new one is read from HAUBERK_NEW_PASSPHRASE, from the file that HAUBERK_NEW_PASSPHRASE_FILE names, or
    from two prompts. An old copy of the file still opens with the old passphrase: after a theft, rotate the keys
    too.
    """
    from hauberk.core.errors import InvalidInput
    from hauberk.custody.keys import passphrase_from, terminal_prompt
    from hauberk.custody.keys.keyring import Keyring
    from hauberk.custody.keys.passphrase import NEW_VARIABLE, new_passphrase

    service = open_service(uri)
    if not isinstance(service, Keyring):
        raise InvalidInput(f"{uri} has no passphrase of its own to change.")
    source = passphrase_from(os.environ, terminal_prompt(), variable=NEW_VARIABLE)
    service.change_passphrase(new_passphrase(source))
    out = Output(json)
    out.document({"keys": uri, "changed": True})
    out.console.print(f"The passphrase of {uri} is changed.", markup=False, soft_wrap=True)


def _tell(service: KeyService, name: str, verb: str, *, json: bool) -> None:
    from hauberk.custody.keys.describing import described

    key, out = described(service, name), Output(json)
    out.document(asdict(key))
    identity = f", key id {key.key_id}" if key.key_id else ""
    out.console.print(f"{verb} {name} ({key.algorithm}{identity}).", markup=False, soft_wrap=True)
