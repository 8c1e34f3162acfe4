"""What the commands about registered sets share: naming the project that is meant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")


def project_option(command: F) -> F:
    """Give a command `--project DIR`, passed on as `folder`."""
    return click.option(
        "--project",
        "folder",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        default=Path(),
        show_default="this folder",
        help="The folder of the project, whose .hauberk/ledger is meant.",
    )(command)
