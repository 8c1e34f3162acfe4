"""The `hauberk` command: a table of commands, each in its own file and imported only when it is called.

Exit codes: 0 fine, 1 not proven or hostile, 2 bad usage or bad input, 3 refused by the gate, 4 an extra or a
service is missing, 70 a fault in Hauberk itself, 130 interrupted, 141 output closed early. Errors go to
standard error, and under `--json` to standard output as well, as one document.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import click

from hauberk.cli._output import document_of, lazy_group
from hauberk.core.errors import HauberkError, HauberkWarning
from hauberk.core.text import visible, without_secrets
from hauberk.core.version import VERSION

_FAULT = 70  # EX_SOFTWARE of sysexits.h: no branch of the error tree has this code
_PIPE = 141  # 128 + SIGPIPE, as shells report it: the result was not read, so it is neither 0 nor 1
_ISSUES = "https://github.com/hauberk/hauberk/issues"

# command: (module, attribute, one line for `hauberk --help`). The help lines are here so that help imports no command.
_COMMANDS: dict[str, tuple[str, str, str]] = {
    "init": ("init", "init", "Look at the data and write a commented hauberk.toml that runs."),
    "protect": ("protect", "protect", "Check, train, attack, harden, sign, seal, decide: the main job."),
    "update": ("update", "update", "Retrain on new data; promote only if nothing gets worse."),
    "rollback": ("rollback", "rollback", "Serve an earlier, verified release again."),
    "verify": ("verify", "verify", "Prove a release offline, step by step."),
    "attack": ("attack", "attack", "Attack any model, and measure its robust accuracy."),
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
@click.version_option(VERSION, prog_name="hauberk")
def cli() -> None:
    """Secure a machine-learning system from the first row of data to a release that anyone can verify."""


def main() -> None:
    """Run the command line and exit with the code from the error tree."""
    _prepare_torch()
    sys.exit(run(sys.argv[1:]))


def _prepare_torch() -> None:
    """Set variables that OpenMP and cuBLAS read when torch is imported, unless the user has set them.

    Idle OpenMP threads spin for long by default: two processes on the same cores then slow each other down, from seconds
    to minutes. Threads that sleep at once make small networks wait for the kernel, at twice the time. A short spin has
    neither fault: `hauberk protect` on digits took 34 s alone and 82 s beside a second one on 2 cores, where a spin of
    20,000 rounds took 28 s and 468 s, and sleeping at once 51 s alone. cuBLAS needs a fixed workspace for results that repeat
    to the bit.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; all errors are printed here."""
    warnings.showwarning = _show_warning
    # Before torch is imported: its exporter logs details that do not concern users.
    os.environ.setdefault("TORCH_LOGS", "-onnx")
    try:
        return _answer(arguments)
    except Exception as error:  # noqa: BLE001 - every unexpected exception ends here, with a message
        return _fault(arguments, error)


def _answer(arguments: list[str]) -> int:
    """Run the command and print every expected error."""
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
            arguments, "Interrupted", "interrupted. Finished work is kept; run the same command to continue.", 130
        )
    except SystemExit:  # commands return their codes; click and rich exit, with 1, when the output's reader is gone
        return _PIPE
    return result if isinstance(result, int) else 0


def _show_warning(message: Warning | str, category: type[Warning], *_where: object, **_how: object) -> None:
    """Print Hauberk's own warnings on one line to standard error; drop the warnings of libraries."""
    if category is HauberkWarning:
        click.secho("note: ", err=True, nl=False, fg="yellow")
        click.echo(visible(message), err=True)


def _fault(arguments: list[str], error: Exception) -> int:
    """Print an unexpected exception on one line, and where to report it; HAUBERK_DEBUG shows the traceback.

    Neither shows secrets from the environment, nor values of variables: the traceback holds lines of code only.
    """
    named = {part for argument in arguments for part in argument.split("=")}  # --header-env NAME=VARIABLE

    def safe(text: str) -> str:
        return without_secrets(text, os.environ, also=named)

    if os.environ.get("HAUBERK_DEBUG"):
        click.echo(visible(safe("".join(traceback.format_exception(error)))), err=True)
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    place = "".join(f" at {Path(one.filename).name}:{one.lineno}" for one in frame)
    what = (safe(str(error)).strip().splitlines() or ["no message"])[0][:300]
    return _fail(
        arguments,
        "Fault",
        f"{type(error).__name__}{place}: {what}. This is a fault in Hauberk; finished work is kept. Please report it "
        f"at {_ISSUES} with the traceback, which the same command shows with HAUBERK_DEBUG=1 before it.",
        _FAULT,
    )


def _fail(arguments: list[str], kind: str, message: str, code: int) -> int:
    if "--json" in arguments:
        document: dict[str, Any] = {"ok": False, "error": {"kind": kind, "message": message, "exit_code": code}}
        click.echo(document_of(document, line="--watch" in arguments))
    click.secho("error: ", err=True, nl=False, fg="red", bold=True)
    click.echo(visible(message), err=True)
    return code
