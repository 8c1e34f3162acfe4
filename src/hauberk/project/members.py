"""Check the algorithms of a project file and their parameters against the registries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hauberk.core.registry import Registry
from hauberk.project.lines import Path
from hauberk.project.problems import Problems
from hauberk.project.values import Project

AUTO = "auto"


def check_members(project: Project) -> None:
    """Check the names and parameters of checks, hardening method and attacks.

    Raises InvalidInput with a line for each one that is unknown, has an unknown parameter, or is for the other kind
    of data. Imports the modules of the registries, which is why `parse` does not call it.
    """
    from hauberk.attacks.evasion import ATTACKS
    from hauberk.data.checks import CHECKS
    from hauberk.training.adversarial import HARDENING

    problems = Problems(project.file.name, project.lines)
    kind = project.data.kind
    for name, values in project.checks.items():
        _member(CHECKS, name, values, kind, ("checks", name), problems)
    for index, (name, values) in enumerate(project.evaluation.attacks):
        _member(ATTACKS, name, values, kind, ("evaluation", "attacks", index), problems)
    training = project.training
    if training.method != AUTO:
        _member(HARDENING, training.method, training.hardening, kind, ("training", "method"), problems)
    elif training.hardening:
        problems.add(
            ("training", "hardening"),
            "[training.hardening] sets a method's parameters, and the method is chosen automatically: name it, "
            'such as method = "pgd".',
        )
    problems.stop()


def _member(  # noqa: PLR0913, PLR0917 - who, with what, for which data, and where to say so
    family: Registry[Any], name: str, values: Mapping[str, Any], kind: str, path: Path, problems: Problems
) -> None:
    entry = problems.take(path, lambda: family[name])
    if entry is None:
        return
    if kind not in entry.kinds:
        problems.add(path, f"{name} is for {' and '.join(entry.kinds)} data, and these are {kind} data.")
    where = ("training", "hardening") if path == ("training", "method") else path
    problems.take(where, lambda: entry.make(values))
