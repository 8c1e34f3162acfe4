"""Check the algorithms of a project file and their parameters against the registries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
    members = _Members(project.data.kind, problems)
    for name, values in project.checks.items():
        members.check(CHECKS, name, values, ("checks", name))
    for index, (name, values) in enumerate(project.evaluation.attacks):
        members.check(ATTACKS, name, values, ("evaluation", "attacks", index))
    training = project.training
    if training.method != AUTO:
        members.check(HARDENING, training.method, training.hardening, ("training", "method"))
    elif training.hardening:
        problems.add(
            ("training", "hardening"),
            "[training.hardening] sets a method's parameters, and the method is chosen automatically: name it, "
            'such as method = "pgd".',
        )
    problems.stop()


@dataclass(frozen=True, slots=True)
class _Members:
    """Checks members of registries for one kind of data, and notes problems."""

    kind: str
    problems: Problems

    def check(self, family: Registry[Any], name: str, values: Mapping[str, Any], path: Path) -> None:
        entry = self.problems.take(path, lambda: family[name])
        if entry is None:
            return
        if self.kind not in entry.kinds:
            self.problems.add(
                path, f"{name} is for {' and '.join(entry.kinds)} data, and these are {self.kind} data."
            )
        where = ("training", "hardening") if path == ("training", "method") else path
        self.problems.take(where, lambda: entry.make(values))
