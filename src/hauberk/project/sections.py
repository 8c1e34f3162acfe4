"""The sections of a project file other than threats and data: each function reads one and notes its problems."""

from __future__ import annotations

import importlib.util
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from hauberk.custody.gate import Rule
from hauberk.project.paths import existing
from hauberk.project.reading import Problems, Table, named
from hauberk.project.values import Evaluation, Keys, ModelSource, ReleaseForm, Training

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_REFERENCE = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")
_LARGEST_SEED = 2**32 - 1  # what NumPy, torch and scikit-learn all take


def slug(text: str) -> str:
    """Return the nearest valid project name: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63] or "project"


def read_project(root: Table) -> tuple[str, int]:
    """Return name and seed."""
    table = root.child("project")
    name = table.text("name", needed='write name = "my-model".')
    if name and not _SLUG.fullmatch(name):
        table.wrong(
            "name", f"{named(name)} is no name: use lower-case letters, digits and hyphens, such as {slug(name)!r}."
        )
    seed = table.whole("seed", 0, low=0, high=_LARGEST_SEED)
    table.close()
    return name, seed


def read_model(root: Table, folder: pathlib.Path) -> ModelSource | None:
    """Return where the model comes from; exactly one way."""
    table = root.child("model")
    build, train = _reference(table, "build", folder), _reference(table, "train", folder)
    weights, onnx = _file(table, "weights", ".safetensors", folder), _file(table, "onnx", ".onnx", folder)
    table.close()
    given = frozenset(key for key in ("build", "train", "weights", "onnx") if table.has(key))
    match sorted(given):
        case ["build"]:
            return ModelSource("build", build=build)
        case ["build", "weights"]:
            return ModelSource("weights", build=build, weights=weights)
        case ["onnx"]:
            return ModelSource("onnx", onnx=onnx)
        case ["train"] | ["build", "train"]:
            return ModelSource("train", build=build, train=train)
    found = "it names none of them" if not given else f"it has {' and '.join(sorted(given))}"
    table.problems.add(
        table.path,
        f"[model] comes in one of these ways, and {found}: "
        'build = "model:build"; build with weights = "model.safetensors"; onnx = "model.onnx"; '
        'train = "model:train" (build beside it if it needs one).',
    )
    return None


def read_training(root: Table) -> Training:
    """Return how models are trained; None where the file is silent."""
    table = root.child("training")
    own = Training()
    value = Training(
        method=table.text("method", default=own.method) or own.method,
        epochs=table.whole("epochs", 1, low=1) if table.has("epochs") else None,
        batch=table.whole("batch", 2, low=2) if table.has("batch") else None,
        learning_rate=_rate(table) if table.has("learning_rate") else None,
        weight_decay=table.number("weight_decay", 0.0, low=0.0, high=1.0) if table.has("weight_decay") else None,
        optimizer=table.choice("optimizer", ("sgd", "adamw")) or None,  # type: ignore[arg-type]
        augment=table.choice("augment", ("none", "shift"), default=own.augment),  # type: ignore[arg-type]
        precision=table.choice("precision", ("fp32", "bf16", "auto"), default=own.precision),  # type: ignore[arg-type]
        average=table.number("average", own.average, low=0.0, high=0.99999),
        device=table.text("device", default=own.device) or own.device,
        minutes=_minutes(table) if table.has("minutes") else None,
        awp=table.number("awp", own.awp, low=0.0, high=0.5),
        patience=table.whole("patience", 0, low=0) if table.has("patience") else None,
        hardening=dict(table.child("hardening").rest()),
    )
    table.close()
    return value


def read_evaluation(root: Table) -> Evaluation:
    """Return how models are attacked."""
    table = root.child("evaluation")
    rows = table.whole("rows", Evaluation().rows, low=1)
    attacks: list[tuple[str, Mapping[str, Any]]] = []
    for each in table.children("attacks"):
        name = each.text("name", needed='which attack, such as name = "pgd".')
        attacks.append((name, each.rest()))
    for index, (name, _) in enumerate(attacks):
        if name and name in [other for other, _ in attacks[:index]]:
            table.problems.add((*table.path, "attacks", index), f"[evaluation] attacks: {name!r} stands twice.")
    certify = table.choice("certify", ("bounds", "smoothing")) or None
    table.close()
    return Evaluation(rows, tuple(attacks), certify)  # type: ignore[arg-type]


def read_checks(root: Table) -> dict[str, Mapping[str, Any]]:
    """Return parameters by data check."""
    checks = root.child("checks")
    return {name: checks.child(name).rest() for name in list(checks.values)}


def read_gate(root: Table, problems: Problems) -> tuple[Rule, ...]:
    """Return the rules, in the order of the file. A gate without a rule is refused: it would ask nothing."""
    table = root.child("gate")
    rules: list[Rule | None] = []

    def read(values: Mapping[str, Any], prefix: tuple[str, ...]) -> None:
        for key, value in values.items():
            path = (*prefix, key)
            metric, place = ".".join(path), (*table.path, *path)
            if isinstance(value, dict):  # `plain.clean_accuracy = ...` without quotes is a table to TOML
                read(value, path)
            elif not isinstance(value, str):
                problems.add(place, f'[gate] {metric}: expected a rule such as ">= 0.60", found {named(value)}.')
            else:
                rules.append(problems.take(place, lambda m=metric, v=value: Rule.parse(m, v)))  # type: ignore[misc]

    read(table.rest(), ())
    if not table.values:
        problems.add(
            table.path,
            '[gate] has no rule, so it would let anything through: add one, such as robust_accuracy = ">= 0.60".',
        )
    return tuple(rule for rule in rules if rule is not None)


def read_release(root: Table) -> ReleaseForm:
    """Return the form of the release."""
    table = root.child("release")
    value = ReleaseForm(seal=table.get("seal", bool, ReleaseForm().seal))
    table.close()
    return value


def read_keys(root: Table, folder: pathlib.Path) -> Keys:
    """Return where keys live; the scheme itself is judged when the keys are opened."""
    table = root.child("keys")
    own = Keys()
    uri = table.text("uri", default=own.uri)
    if ":" not in uri:
        table.wrong("uri", f"{named(uri)} has no scheme: write {own.uri!r}.")
    scheme, _, path = uri.partition(":")
    if scheme == "keyring" and path:  # a file, and like every other it is looked for from the project's folder
        uri = f"keyring:{(folder / pathlib.Path(path).expanduser()).absolute()}"
    # AWS signs no message above 4 KiB with Ed25519, and evidence is longer.
    usual = "ecdsa-p256" if scheme == "awskms" else own.signing
    signing = table.choice("signing", ("ed25519", "ecdsa-p256"), default=usual)
    table.close()
    return Keys(uri, signing)  # type: ignore[arg-type]


def _minutes(table: Table) -> float | None:
    value = table.number("minutes", 0.0, low=0.0)
    if table.values["minutes"] == 0:
        table.wrong("minutes", "0 trains nothing: write a number above 0, such as 10.")
    if table.has("epochs"):
        table.wrong("epochs", "stands beside `minutes`, from which the epochs follow: leave one of them out.")
    return value


def _rate(table: Table) -> float | None:
    value = table.number("learning_rate", 0.0, low=0.0, high=100.0)
    if table.values["learning_rate"] == 0:
        table.wrong("learning_rate", "0 learns nothing: write a number above 0, such as 0.01.")
    return value


def _reference(table: Table, key: str, folder: pathlib.Path) -> str:
    """Return "module:function" whose module is there; it is not imported here, since that would run it."""
    text = table.text(key)
    if not text:
        if table.has(key) and table.values[key] == "":
            table.wrong(key, f'is empty: write "module:function", such as "model:{key}".')
        return ""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        table.wrong(key, f'{named(text)} is no "module:function", such as "model:{key}" for {key}() in model.py.')
        return ""
    module = found[1]
    local = folder.joinpath(*module.split("."))
    if not (local.with_suffix(".py").is_file() or local.is_dir() or _installed(module.partition(".")[0])):
        table.wrong(
            key,
            f"there is no module {module!r}: expected {local.name}.py in {local.parent}, or an installed package.",
        )
        return ""
    return text


def _installed(top: str) -> bool:
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False


def _file(table: Table, key: str, suffix: str, folder: pathlib.Path) -> pathlib.Path | None:
    text = table.text(key)
    if not text:
        if table.has(key) and table.values[key] == "":
            table.wrong(key, f"is empty: name a {suffix} file.")
        return None
    if pathlib.PurePath(text).suffix != suffix:
        table.wrong(
            key,
            f"{named(text)} is no {suffix} file. Formats that can run code when they are read, such as .pt and "
            f".pkl, are never opened: export the model to {suffix}.",
        )
        return None
    return existing(table, key, text, folder)
