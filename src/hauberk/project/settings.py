"""The small sections of a project file: a strict model for each, and the value that it becomes."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from hauberk.core.errors import HauberkError
from hauberk.custody.gate import Rule
from hauberk.project.paths import existing
from hauberk.project.problems import Problems, named
from hauberk.project.scheduling import check_cron
from hauberk.project.strict import Finite, Section, Text
from hauberk.project.values import Evaluation, Keys, ReleaseForm, Training, Update

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_LARGEST_SEED = 2**32 - 1  # what NumPy, torch and scikit-learn all take
_PROBABILITY = "It is a probability."


def slug(text: str) -> str:
    """Return the nearest valid project name: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63] or "project"


def _a_name(name: str) -> str:
    if not _SLUG.fullmatch(name):
        raise ValueError(
            f"{named(name)} is not a valid name: use lower-case letters, digits and hyphens, such as {slug(name)!r}."
        )
    return name


def _above_zero(why: str, such_as: str) -> AfterValidator:
    def check(value: float) -> float:
        if value == 0:
            raise ValueError(f"0 {why}: write a number above 0, such as {such_as}.")
        return value

    return AfterValidator(check)


def _a_schedule(text: str) -> str:
    try:
        if text:
            check_cron(text)
    except HauberkError as error:
        raise ValueError(str(error)) from error
    return text


class ProjectTable(Section):
    """`[project]`."""

    name: Annotated[Text, AfterValidator(_a_name), Field(description='write name = "my-model".')]
    seed: Annotated[int, Field(ge=0, le=_LARGEST_SEED)] = 0


class TrainingTable(Section):
    """`[training]`; None where the file is silent."""

    method: str = "auto"
    epochs: Annotated[int, Field(ge=1)] | None = None
    batch: Annotated[int, Field(ge=2)] | None = None
    learning_rate: Annotated[Finite, Field(ge=0, le=100), _above_zero("learns nothing", "0.01")] | None = None
    weight_decay: Annotated[Finite, Field(ge=0, le=1)] | None = None
    optimizer: Literal["sgd", "adamw"] | None = None
    augment: Literal["none", "shift"] = "none"
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    average: Annotated[Finite, Field(ge=0, le=0.99999)] = 0.0
    device: str = "auto"
    minutes: Annotated[Finite, Field(ge=0), _above_zero("trains nothing", "10")] | None = None
    awp: Annotated[Finite, Field(ge=0, le=0.5)] = 0.0
    patience: Annotated[int, Field(ge=0)] | None = None
    hardening: dict[str, Any] = Field(default_factory=dict)


class _AttackTable(Section):
    """One of `[[evaluation.attacks]]`; the other keys are the attack's parameters."""

    model_config = ConfigDict(extra="allow")

    name: Annotated[Text, Field(description='which attack, such as name = "pgd".')]


class EvaluationTable(Section):
    """`[evaluation]`."""

    rows: Annotated[int, Field(ge=1)] = Evaluation().rows
    attacks: list[_AttackTable] = Field(default_factory=list)
    certify: Literal["bounds", "smoothing"] | None = None


class ReleaseTable(Section):
    """`[release]`."""

    seal: bool = ReleaseForm().seal


class KeysTable(Section):
    """`[keys]`."""

    uri: str = Keys().uri
    signing: Literal["ed25519", "ecdsa-p256"] | None = None


class UpdateTable(Section):
    """`[update]`."""

    start: Literal["warm", "cold"] = "warm"
    epochs: Annotated[int, Field(ge=1)] | None = None
    confidence: Annotated[Finite, Field(ge=0.5, le=0.9999, description=_PROBABILITY)] = Update().confidence
    groups: list[Text] = Field(default_factory=list)
    favourable: str = ""
    schema_: str = Field("", alias="schema")
    data: list[Text] = Field(default_factory=list)
    schedule: Annotated[str, AfterValidator(_a_schedule)] = ""
    new_rows: Annotated[int, Field(ge=1)] | None = None
    drift: bool = False


def training_of(table: TrainingTable, problems: Problems) -> Training:
    """Return how models are trained."""
    if table.minutes and table.has("epochs"):
        problems.wrong(
            ("training", "epochs"), "contradicts `minutes`, from which the epochs follow: leave one of them out."
        )
    own = Training()
    given = table.model_dump()
    return Training(**given | {"method": table.method or own.method, "device": table.device or own.device})


def evaluation_of(table: EvaluationTable, problems: Problems) -> Evaluation:
    """Return how models are attacked."""
    names = [attack.name for attack in table.attacks]
    for index, name in enumerate(names):
        if name in names[:index]:
            problems.wrong(("evaluation", "attacks", index), f"{name!r} is listed twice.")
    attacks = tuple((attack.name, attack.model_extra or {}) for attack in table.attacks)
    return Evaluation(table.rows, attacks, table.certify)


def keys_of(table: KeysTable, folder: pathlib.Path, problems: Problems) -> Keys:
    """Return where keys live; whether the scheme exists is checked when the keys are opened."""
    scheme, colon, path = table.uri.partition(":")
    if not colon:
        problems.wrong(("keys", "uri"), f"{named(table.uri)} has no scheme: write {Keys().uri!r}.")
    uri = table.uri
    if scheme == "keyring" and path:  # a file, and relative to the project's folder as every other
        uri = f"keyring:{(folder / pathlib.Path(path).expanduser()).absolute()}"
    # AWS signs no message above 4 KiB with Ed25519, and evidence is longer.
    usual = "ecdsa-p256" if scheme == "awskms" else Keys().signing
    return Keys(uri, table.signing or usual)


def update_of(table: UpdateTable, folder: pathlib.Path, problems: Problems) -> Update:
    """Return how updates are made; everything has a default, and without a trigger nothing is due by itself."""
    for key in ("schedule", "new_rows", "drift"):
        if getattr(table, key) and not table.data:
            problems.wrong(
                ("update", key),
                'has no effect without `data`: say where new rows arrive, such as data = ["incoming/*.csv"].',
            )
    schema = existing(problems, ("update", "schema"), table.schema_, folder) if table.schema_ else None
    given = table.model_dump(exclude={"schema_"}) | {"groups": tuple(table.groups), "data": tuple(table.data)}
    return Update(**given, schema=schema)


def read_checks(values: Any, problems: Problems) -> dict[str, Mapping[str, Any]]:  # noqa: ANN401 - any TOML value
    """Return parameters by data check; the parameters are checked by `members`."""
    if not isinstance(values, dict):
        problems.wrong(("checks",), f"expected a table, found {named(values)}.")
        return {}
    for name, given in values.items():
        if not isinstance(given, dict):
            problems.wrong(("checks", name), f"expected a table, found {named(given)}.")
    return {name: given for name, given in values.items() if isinstance(given, dict)}


def read_gate(values: Any, problems: Problems) -> tuple[Rule, ...]:  # noqa: ANN401 - any TOML value
    """Return the rules, in the order of the file. A gate without a rule is refused: it would check nothing."""
    rules: list[Rule | None] = []

    def take(table: Mapping[str, Any], prefix: tuple[str, ...]) -> None:
        for key, value in table.items():
            path = (*prefix, key)
            metric, place = ".".join(path), ("gate", *path)
            if isinstance(value, dict):  # `plain.clean_accuracy = ...` without quotes is a table to TOML
                take(value, path)
            elif not isinstance(value, str):
                problems.add(place, f'[gate] {metric}: expected a rule such as ">= 0.60", found {named(value)}.')
            else:
                rules.append(problems.take(place, lambda m=metric, v=value: Rule.parse(m, v)))  # type: ignore[misc]

    if not isinstance(values, dict):
        problems.wrong(("gate",), f"expected a table, found {named(values)}.")
        return ()
    take(values, ())
    if not values:
        problems.add(
            ("gate",),
            '[gate] has no rule, so it would let anything through: add one, such as robust_accuracy = ">= 0.60".',
        )
    return tuple(rule for rule in rules if rule is not None)
