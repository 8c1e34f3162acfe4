"""The project file, `hauberk.toml`: what a team declares once, read strictly.

`load` returns a `Project`, or raises one error that lists every wrong line; `check_columns` and `check_against`
check a project against its data. Other modules: `strict` (pydantic models, and their errors in
words), `problems` and `lines` (which line), one module for each large section, `settings` for the small ones, `values`
(the frozen result).
"""

from __future__ import annotations

from hauberk.project.against import check_against, check_columns
from hauberk.project.loading import FILE_NAME, load, load_threats, parse
from hauberk.project.values import (
    Declared,
    Evaluation,
    Keys,
    ModelSource,
    Project,
    ReleaseForm,
    Training,
    Update,
)

__all__ = [
    "FILE_NAME",
    "Declared",
    "Evaluation",
    "Keys",
    "ModelSource",
    "Project",
    "ReleaseForm",
    "Training",
    "Update",
    "check_against",
    "check_columns",
    "load",
    "load_threats",
    "parse",
]
