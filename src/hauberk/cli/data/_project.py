"""Shared by the commands about registered sets: the option that names the project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")


def project_option(command: F) -> F:
    """Add `--project DIR` to a command, passed as `folder`."""
    return click.option(
        "--project",
        "folder",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        default=Path(),
        show_default="this folder",
        help="The folder of the project, with its .hauberk/ledger.",
    )(command)
