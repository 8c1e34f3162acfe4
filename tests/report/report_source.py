"""Sources made by hand: a ledger as a whole run leaves it, with invented numbers, and one that holds nothing."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Subject
from hauberk.custody.statements import EVENT, EVIDENCE, PROVENANCE, RULINGS, VSA
from hauberk.report import Attested, Source

IMAGE_THREAT = {"label": "pixels", "kind": "evasion", "norm": "linf", "eps": 4 / 255}
TABLE_THREAT = {
    "label": "applicant",
    "kind": "evasion",
    "columns": [
        {"column": "hours-per-week", "by": 5.0, "direction": "up", "cost": 1.0},
        {"column": "occupation", "by": 0.0, "direction": "both", "cost": 4.0},
    ],
    "cost": 6.0,
}
PLAIN_CURVE = (0.954, 0.703, 0.381, 0.167, 0.069, 0.021, 0.008)
EPOCHS = ((0.41, 0.08), (0.78, 0.39), (0.87, 0.58), (0.90, 0.66), (0.91, 0.72), (0.93, 0.70), (0.94, 0.64))
"""Clean and robust accuracy on held-out rows by epoch, from the first; the fifth was kept."""
HARDENED_CURVE = (0.931, 0.889, 0.836, 0.774, 0.708, 0.624, 0.541)


def named(name: str) -> Subject:
    return Subject(name, canonical.sha256(name.encode()))


def png(pixels: list[list[tuple[int, int, int]]]) -> str:
    """Write an RGB picture as PNG, in base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", len(pixels[0]), len(pixels), 8, 2, 0, 0, 0)
    raw = b"".join(b"\0" + bytes(value for pixel in row for value in pixel) for row in pixels)
    whole = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return base64.b64encode(whole).decode()


def _sign(shift: int, seed: int) -> list[list[tuple[int, int, int]]]:
    """Draw one of four road signs on a grey-blue sky, moved by a pattern of `shift` grey levels."""
    red, white, dark, sky = (176, 32, 38), (235, 232, 228), (40, 40, 44), (96, 120, 132)

    def colour(x: float, y: float) -> tuple[int, int, int]:
        ring = (x * x + y * y) ** 0.5
        if seed % 4 == 0:  # octagon with a line of letters
            inside = max(abs(x), abs(y)) < 13 and abs(x) + abs(y) < 18.5
            return white if inside and abs(y) < 3 and abs(x) < 10 and int(x) % 3 else red if inside else sky
        if seed % 4 == 1:  # triangle on its point
            depth = min(y + 11, (12 - y) * 0.5 - abs(x) + 1)
            return white if depth > 3 else red if depth > 0 else sky
        if seed % 4 == 2:  # ring around digits
            digits = abs(y) < 4.5 and 1 < abs(x) < 6 and (int(y) % 3 != 1 or int(x) % 2)
            return sky if ring > 13.5 else red if ring > 10 else dark if digits else white
        return sky if ring > 13.5 else white if abs(y) < 3 and abs(x) < 9 else red  # disc with a bar

    def pixel(x: int, y: int) -> tuple[int, int, int]:
        noise = shift if (x * 7 + y * 13 + seed * (x ^ y)) % 3 else -shift
        light = (y - 16) * 2
        r, g, b = (min(255, max(0, c + noise - light)) for c in colour(x - 15.5, y - 15.5))
        return r, g, b

    return [[pixel(x, y) for x in range(32)] for y in range(32)]


def _noise(seed: int) -> list[list[tuple[int, int, int]]]:
    def level(x: int, y: int) -> int:
        return 168 if (x * 7 + y * 13 + seed * (x ^ y)) % 3 else 88

    return [[(level(x, y),) * 3 for x in range(32)] for y in range(32)]  # type: ignore[misc]


def image_examples(*, fooled: int, total: int = 8) -> bytes:
    labels = ["stop", "yield", "speed limit 50", "no entry"]
    found = []
    for row in range(total):
        label, other = labels[row % 4], labels[(row + 1) % 4]
        found.append(
            {
                "row": 100 + row,
                "label": label,
                "before": {"prediction": label, "confidence": 0.99 - row / 100, "png": png(_sign(0, row))},
                "after": {
                    "prediction": other if row < fooled else label,
                    "confidence": 0.93 - row / 50,
                    "png": png(_sign(4, row)),
                },
                "difference": {"png": png(_noise(row)), "linf": 4 / 255, "l2": 0.87},
            }
        )
    return json.dumps({"kind": "image", "shape": [3, 32, 32], "examples": found}).encode()


def table_examples(*, fooled: bool) -> bytes:
    changes = [
        {"column": "hours-per-week", "from": "38", "to": "42", "cost": 4.0},
        {"column": "occupation", "from": "Sales", "to": "Tech-support", "cost": 2.0},
    ]
    example = {
        "row": 17,
        "label": "<=50K",
        "before": {"prediction": "<=50K", "confidence": 0.71},
        "after": {"prediction": ">50K" if fooled else "<=50K", "confidence": 0.62},
        "changes": changes,
        "cost": 6.0,
    }
    return json.dumps({"kind": "table", "examples": [example]}).encode()


class Book:
    """Builds a source entry by entry."""

    def __init__(self) -> None:
        self.entries: list[Attested] = []
        self.store: dict[str, bytes] = {}

    def keep(self, name: str, data: bytes) -> Subject:
        digest = canonical.sha256(data)
        self.store[digest] = data
        return Subject(name, digest)

    def add(self, predicate_type: str, subjects: tuple[Subject, ...], predicate: Mapping[str, Any]) -> Attested:
        index = len(self.entries)
        digest = canonical.digest(
            {"index": index, "predicate": dict(predicate), "about": [s.sha256 for s in subjects]}
        )
        time = f"2026-05-04T09:{index:02d}:07.250Z"
        entry = Attested(index, digest, time, predicate_type, subjects, predicate)
        self.entries.append(entry)
        return entry

    def event(self, name: str, /, *subjects: Subject, **details: Any) -> Attested:
        return self.add(EVENT, subjects, {"event": name, "time": "2026-05-04T09:00:00Z", "details": details})

    def evidence(
        self,
        control: str,
        practice: str,
        role: str,
        subjects: tuple[Subject, ...],
        metrics: Mapping[str, float],
        **more: Any,
    ) -> Attested:
        predicate = {
            "control": control,
            "practice": practice,
            "role": role,
            "parameters": more.get("parameters", {}),
            "seed": 20,
            "versions": {"hauberk": "0.1.0", "python": "3.11.9", "torch": "2.8.0"},
            "started": "2026-05-04T09:00:00Z",
            "finished": "2026-05-04T09:00:07Z",
            "metrics": dict(metrics),
            "findings": more.get("findings", []),
            "series": more.get("series", {}),
            "outputs": [{"name": o.name, "digest": {"sha256": o.sha256}} for o in more.get("outputs", ())],
            "notes": more.get("notes", []),
        }
        return self.add(EVIDENCE, subjects, predicate)

    def source(self, project: str = "stop-sign") -> Source:
        def get(digest: str) -> bytes:
            if digest not in self.store:
                raise InvalidInput(f"artifact {digest[:12]} is not in the store.")
            return self.store[digest]

        return Source(
            project=project,
            origin=f"hauberk/{project}/5d1f0a77c2b94e60",
            size=len(self.entries),
            root=canonical.sha256(str(len(self.entries)).encode()) if self.entries else canonical.sha256(b""),
            key_ids=(canonical.sha256(b"signing key"),) if self.entries else (),
            attestations=tuple(self.entries),
            get=get,
        )


def finding(what: str, where: str, severity: str, **more: Any) -> dict[str, Any]:
    empty = {"advice": "Look at it.", "threat": "", "value": None, "limit": None, "unit": ""}
    kind, _, name = where.partition(" ")
    place = {"kind": kind, "name": name, "index": None}
    return {"what": what, "where": place, "severity": severity, **empty, **more}


DATA = named("dataset")


def _data(book: Book) -> None:
    book.event("data.loaded", named("train.parquet"), DATA, train=10104, test=2526)
    book.evidence("schema", "1a", "data", (DATA,), {"rows": 12630.0, "columns": 3072.0})
    flood = finding(
        "37 copies of one picture",
        "rows 411-447",
        "medium",
        advice="Keep one of them, or say in the project file that they are meant.",
        threat="poisoning",
        value=37.0,
        limit=5.0,
        unit="rows",
    )
    book.evidence("duplicates", "1a", "data", (DATA,), {"duplicate_share": 0.0031}, findings=[flood])
    labels = [
        finding(
            f"the label 'yield' is improbable: {p:.1%} by the other rows",
            f"row {row}",
            severity,
            advice="Look at the picture; repair the label or drop the row.",
            threat="poisoning",
            value=p,
            limit=0.05,
            unit="probability",
        )
        for row, p, severity in ((1022, 0.004, "high"), (77, 0.011, "medium"), (9310, 0.048, "low"))
    ]
    book.evidence("label-errors", "1a", "data", (DATA,), {"label_error_share": 0.0024}, findings=labels)
    book.evidence("leakage", "1a", "data", (DATA,), {"leaked_share": 0.0})
    sealed = (DATA, named("train.parquet.sealed"))
    book.evidence("sealing", "1b", "data", sealed, {"sealed_files": 1.0, "bytes": 38_400_000.0})


def model_of(role: str) -> tuple[Subject, ...]:
    """The files of a model, by the same names for both, and the data: as every measurement names them."""
    files = ("model.onnx", "weights.safetensors")
    return (*(Subject(name, canonical.sha256(f"{role} {name}".encode())) for name in files), DATA)


def _model(book: Book, role: str, *, seconds: float, clean: float, curve: tuple[float, ...]) -> None:
    metrics, series = {"seconds": seconds, "epochs": 12.0, "final_loss": 0.184}, {}
    if role == "hardened":
        metrics["best_epoch"] = 5.0
        series = {
            name: [{"x": i + 1.0, "y": epoch[place]} for i, epoch in enumerate(EPOCHS)]
            for place, name in enumerate(("held_out_clean_accuracy", "held_out_robust_accuracy"))
        }
    book.evidence(
        "training",
        "2a",
        role,
        model_of(role),
        metrics,
        parameters={"method": "pgd" if role == "hardened" else "plain"},
        series={"loss": [{"x": float(i), "y": 2.0 / (i + 1)} for i in range(12)], **series},
    )
    dependencies = [{"name": DATA.name, "digest": {"sha256": DATA.sha256}}]
    book.add(
        PROVENANCE,
        model_of(role)[:2],
        {
            "buildDefinition": {"resolvedDependencies": dependencies},
            "runDetails": {"metadata": {"finishedOn": "2026-05-04T09:30:00Z"}},
        },
    )
    attack(book, role, clean=clean, curve=curve)


def attack(book: Book, role: str, *, clean: float, curve: tuple[float, ...]) -> Attested:
    examples = book.keep("examples.json", image_examples(fooled=8 if role == "plain" else 1))
    return book.evidence(
        "evasion",
        "2a",
        role,
        model_of(role),
        {"clean_accuracy": clean, "robust_accuracy": curve[4], "robust_accuracy_pgd": curve[4] + 0.004},
        parameters={"threat": IMAGE_THREAT, "attacks": ["pgd", "square"]},
        series={"accuracy_by_radius": [{"x": i / 255, "y": y} for i, y in enumerate(curve)]},
        outputs=(examples,),
        notes=["PGD with 40 steps and Square with 1000 queries on 1000 test rows."],
    )


def whole(*, allowed: bool = True) -> Source:
    """A run from data to release on pictures."""
    return book_of_run(allowed=allowed).source()


def book_of_run(*, allowed: bool = True, sealed: bool = False) -> Book:
    book = Book()
    _data(book)
    _model(book, "plain", seconds=48.2, clean=0.954, curve=PLAIN_CURVE)
    _model(book, "hardened", seconds=263.9, clean=0.931, curve=HARDENED_CURVE)
    verdict(book, model_of("hardened"), allowed=allowed)
    if allowed:
        book.event("release.made", named("manifest.json"), *model_of("hardened")[:2], size=14, sealed=sealed)
    return book


def verdict(book: Book, model: tuple[Subject, ...], *, allowed: bool) -> None:
    evidence = {(e.predicate.get("control"), e.predicate.get("role")): e for e in book.entries}
    attack = evidence["evasion", "hardened"]
    limit = 0.6 if allowed else 0.8
    rules = [
        rule("clean_accuracy", ">=", 0.9, 0.931, attack),
        rule("robust_accuracy", ">=", limit, attack.predicate["metrics"]["robust_accuracy"], attack),
        rule("label_error_share", "<=", 0.01, 0.0024, evidence["label-errors", "data"]),
    ]
    inputs = [{"digest": {"sha256": e.digest}} for e in book.entries]
    book.add(
        VSA,
        model,
        {
            "verificationResult": "PASSED" if allowed else "FAILED",
            "timeVerified": "2026-05-04T09:58:00Z",
            "inputAttestations": inputs,
            RULINGS: rules,
        },
    )


def rule(metric: str, op: str, limit: float, value: float, entry: Attested) -> dict[str, Any]:
    holds = value >= limit if op == ">=" else value <= limit
    return {
        "rule": f"{metric} {op} {limit:g}",
        "metric": metric,
        "op": op,
        "limit": limit,
        "value": value,
        "holds": holds,
        "evidence": entry.digest,
        "reason": f"{value:.4g} {'satisfies' if holds else 'does not satisfy'} {op} {limit:g}",
    }


def table() -> Source:
    """A run on a table that ended before the gate, with only the plain model's training."""
    book = Book()
    data = named("adult.parquet")
    for role, robust, fooled in (("plain", 0.412, True), ("hardened", 0.731, False)):
        examples = book.keep("examples.json", table_examples(fooled=fooled))
        book.evidence(
            "evasion",
            "2a",
            role,
            (named(f"{role}.onnx"), data),
            {"clean_accuracy": 0.86, "robust_accuracy": robust},
            parameters={"threat": TABLE_THREAT},
            series={"accuracy_by_radius": [{"x": x / 4, "y": 0.86 - (0.86 - robust) * x / 4} for x in range(7)]},
            outputs=(examples,),
        )
    return book.source("lending")


def nothing() -> Source:
    """A ledger without an entry."""
    return Book().source("nothing-yet")
