"""Aim: what the adversary of one campaign may do, read from a line such as `linf:8/255` or from declared threats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hauberk.attacks.budget import Region, budget_of
from hauberk.attacks.campaign import Chosen, usual
from hauberk.attacks.evasion import ATTACKS
from hauberk.attacks.evasion.methods.corruptions import Corrupted
from hauberk.attacks.shapes import Affine, Patch
from hauberk.core.columns import Column
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Evasion, Norm
from hauberk.lifecycle.main.attack import describe
from hauberk.models.port import Differentiable, Model
from hauberk.project import Declared, load_threats
from hauberk.project.threats import read_fraction

_EXAMPLES = (
    "linf:8/255, l2:0.5, patch:0.1 (share of the area), spatial:30,3 (degrees, pixels), corruptions:3 (severity), or a "
    "file with [[threats]] such as hauberk.toml#applicant"
)


@dataclass(frozen=True, slots=True)
class Aim:
    """One threat with its geometry. described: as evidence carries it.

    threat: as a project declares it; None for shapes that only this command knows. radius: its place on the axis of
    plots. only: the one attack that knows this geometry, "" where several do.
    """

    label: str
    threat: Evasion | None
    budget: Region
    described: Mapping[str, Any]
    radius: float = 1.0
    only: str = ""


def read_aim(spec: str, *, kind: str, columns: Sequence[Column]) -> Aim:
    """Return what `spec` names: `norm:radius`, or `FILE.toml` with one evasion threat, or `FILE.toml#label`.

    Raises InvalidInput for a spec of another form, with the line in a file, and for a threat that does not
    fit the data.
    """
    name, _, rest = spec.partition(":")
    if name in set(Norm):
        radius = _radius(rest)
        if radius is None:
            raise InvalidInput(
                f"--threat {spec}: {rest!r} is no radius: write a number or a fraction, such as 8/255."
            )
        declared = Declared(Evasion(norm=Norm(name), eps=radius), spec, 0)
    elif name in _SHAPES:
        if kind != "image":
            raise InvalidInput(
                f"--threat {spec} is for images, and the data are a table: name a file with [[threats]]."
            )
        return _shape(spec, name, rest)
    elif spec.partition("#")[0].endswith(".toml"):
        declared = _from_file(spec)
    else:
        raise InvalidInput(f"--threat {spec!r} is not known. Name {_EXAMPLES}.")
    return aim_of(declared, kind=kind, columns=columns)


def aim_of(declared: Declared, *, kind: str, columns: Sequence[Column]) -> Aim:
    """Return the aim of a declared evasion threat. Raises InvalidInput where it is for other data."""
    threat = declared.threat
    if not isinstance(threat, Evasion):
        raise InvalidInput(
            f"{declared.label!r} is a threat of kind {threat.kind!r}: attacks on inputs need an evasion threat."
        )
    if (threat.norm is None) == (kind == "image"):
        advice = (
            "changes columns of a table, and the data are images: name a norm and a radius, such as --threat linf:8/255."
            if kind == "image"
            else "is a norm and a radius for images, and the data are a table: declare which columns an attacker can "
            "change, as `columns` under [[threats]] in a TOML file, and name it: --threat FILE.toml#label."
        )
        raise InvalidInput(f"the threat {declared.label!r} {advice}")
    return Aim(declared.label, threat, budget_of(threat, columns), describe(declared, threat), threat.eps or 1.0)


_SHAPES: dict[str, tuple[str, Callable[..., Region], str]] = {  # example, geometry, what its radius counts
    "patch": ("patch:0.1", lambda share: Patch(share=share), "share of the area"),
    "spatial": ("spatial:30,3", lambda degrees=30.0, pixels=3.0: Affine(degrees, pixels), "share of the reach"),
    "corruptions": ("corruptions:3", lambda severity: Corrupted(_whole(severity)), "severity"),
}


def _whole(value: float) -> int:
    if not value.is_integer():
        raise ValueError(f"{value} is no whole number")
    return int(value)


def _shape(spec: str, name: str, rest: str) -> Aim:
    example, make, unit = _SHAPES[name]
    try:
        values = [float(value) for value in rest.split(",")] if rest else []
        budget = make(*values)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"--threat {spec}: expected numbers, such as {example}.") from error
    radius = 1.0 if name == "spatial" else values[0]
    described = {"label": spec, "kind": "evasion", "atlas": list(Evasion.atlas), "shape": name, "values": values}
    return Aim(spec, None, budget, described | {"eps": radius, "unit": unit}, radius, name)


def choose(names: Sequence[str], model: Model, aim: Aim, *, kind: str, labels_only: bool = False) -> list[Chosen]:
    """Return attacks by name, `NAME` or `NAME:parameter=value,...`; none named: the usual ones that fit.

    labels_only: the model says which class and not how surely. Raises InvalidInput for unknown names and parameters.
    """
    chosen: list[Chosen] = []
    if aim.only and any(text.partition(":")[0] != aim.only for text in names):
        raise InvalidInput(f"{aim.label} is for the attack {aim.only!r} alone.")
    for text in names or _usual(model, aim, kind, labels_only=labels_only):
        name, _, settings = text.partition(":")
        entry = ATTACKS[name]
        if kind not in entry.kinds:
            raise InvalidInput(
                f"attack {name!r} is not for {kind} data: known for it are {', '.join(_fitting(kind))}."
            )
        chosen.append(Chosen(text, entry.run, entry.make(_settings(text, settings))))
    return chosen


def _usual(model: Model, aim: Aim, kind: str, *, labels_only: bool) -> list[str]:
    if aim.only:
        return [aim.only]
    """Return the default attacks that the model and the norm allow; attacks with labels only if there are no others.

    They come last because they need far more queries.
    """
    norm = None if aim.threat is None else aim.threat.norm
    gradients = isinstance(model, Differentiable)
    candidates = usual(kind)
    fitting = [
        chosen
        for chosen in candidates
        if chosen.params.access != "labels"
        and not labels_only
        and (gradients or chosen.params.access != "gradients")
        and (norm is None or norm in chosen.params.norms)
    ]
    return [chosen.name for chosen in fitting or candidates if fitting or chosen.params.access == "labels"]


def _fitting(kind: str) -> list[str]:
    return [entry.name for entry in ATTACKS if kind in entry.kinds]


def _settings(text: str, settings: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in filter(None, settings.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise InvalidInput(f"--attack {text}: {part!r} is no setting: write NAME:steps=100,restarts=2.")
        found[name.strip()] = _value(value.strip())
    return found


def _value(text: str) -> bool | int | float | str:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _radius(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return read_fraction(text)


def _from_file(spec: str) -> Declared:
    file, _, label = spec.partition("#")
    threats = [declared for declared in load_threats(file) if isinstance(declared.threat, Evasion)]
    found = [declared for declared in threats if not label or declared.label == label]
    if len(found) != 1:
        known = ", ".join(f"{file}#{declared.label}" for declared in threats) or "none"
        raise InvalidInput(f"--threat {spec} names {len(found)} evasion threats, expected one of: {known}.")
    return found[0]
