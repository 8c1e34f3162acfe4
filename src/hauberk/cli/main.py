"""The `hauberk` command: a table of commands, each in its own file and imported only when it is called.

Exit codes: 0 fine, 1 not proven or hostile, 2 bad usage or bad input, 3 refused by the gate, 4 an extra or a
service is missing, 130 interrupted. Errors go to standard error, and under `--json` to standard output as well, as
one document.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import click

import hauberk
from hauberk.cli._output import lazy_group
from hauberk.core.errors import HauberkError, HauberkWarning
from hauberk.core.text import visible

# command: (module, attribute, one line for `hauberk --help`). The lines stand here so that help imports no command.
_COMMANDS: dict[str, tuple[str, str, str]] = {
    "init": ("init", "init", "Look at the data and write a commented hauberk.toml that runs."),
    "protect": ("protect", "protect", "Check, train, attack, harden, sign, seal, decide: the main job."),
    "update": ("update", "update", "Retrain on new data; promote only if nothing gets worse."),
    "rollback": ("rollback", "rollback", "Serve an earlier, verified release again."),
    "verify": ("verify", "verify", "Prove a release offline, step by step."),
    "attack": ("attack", "attack", "Attack any model, and measure how much of it stands."),
    "report": ("report", "report", "Write the report again from the ledger."),
    "data": ("data", "data", "Verify, screen, repair, track and prove data."),
    "controls": ("controls", "controls", "List every control, attack and method, with its parameters."),
    "ledger": ("ledger", "ledger", "Show, prove and audit the tamper-evident log."),
    "keys": ("keys", "keys", "List, create and rotate keys."),
    "seal": ("seal", "seal", "Encrypt files, folders or Parquet columns at rest."),
    "open": ("seal", "open_", "Decrypt what was sealed."),
    "rewrap": ("rewrap", "rewrap", "Move sealed files to another key or key service."),
    "rotate": ("rewrap", "rotate", "Make a new version of a key and move sealed files to it."),
    "erase": ("erase", "erase", "Destroy a data set's key, with a receipt in the ledger."),
}


@click.command(cls=lazy_group(_COMMANDS), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(hauberk.__version__, prog_name="hauberk")
def cli() -> None:
    """Secure a machine-learning system from the first row of data to a release that anyone can verify."""


def main() -> None:
    """Run the command line and leave with the exit code that the error tree names."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; every error is printed here and nowhere else."""
    warnings.showwarning = _show_warning
    try:
        result = cli.main(args=arguments, prog_name="hauberk", standalone_mode=False)
    except HauberkError as error:
        return _fail(arguments, type(error).__name__, str(error), error.exit_code)
    except click.ClickException as error:
        if "--json" in arguments:
            return _fail(arguments, "InvalidInput", error.format_message(), 2)
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        return _fail(
            arguments, "Interrupted", "interrupted. What was finished is kept; run the same command to go on.", 130
        )
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    return result if isinstance(result, int) else 0


def _show_warning(message: Warning | str, category: type[Warning], *_where: object, **_how: object) -> None:
    """Say Hauberk's own warnings in one line on standard error, and keep those of libraries to themselves."""
    if category is HauberkWarning:
        click.secho("note: ", err=True, nl=False, fg="yellow")
        click.echo(visible(message), err=True)


def _fail(arguments: list[str], kind: str, message: str, code: int) -> int:
    if "--json" in arguments:
        document: dict[str, Any] = {"ok": False, "error": {"kind": kind, "message": message, "exit_code": code}}
        click.echo(json.dumps(document, indent=2))
    click.secho("error: ", err=True, nl=False, fg="red", bold=True)
    click.echo(visible(message), err=True)
    return code
