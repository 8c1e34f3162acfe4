"""Draw docs/architecture.svg: the rooms on their floors, and which room imports which, read from the code.

    python docs/architecture_picture.py            # write the picture
    python docs/architecture_picture.py --check    # exit with 1 when the picture is not what the imports give

The floors come from the import-linter contract in pyproject.toml, the arrows from the imports (type-only and in-function
imports count).
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from xml.sax.saxutils import escape

import grimp

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "architecture.svg"
WIDTH, TALL, GAP, TOP = 860, 46, 30, 16
FONT = 'font-family="sans-serif" font-size="14" text-anchor="middle"'
TIP = 'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto"'
SAYS = {
    "cli": "commands",
    "console": "a page to watch",
    "lifecycle": "the jobs: main, updating, attacking, datasets, releasing",
    "project": "hauberk.toml and init",
    "serving": "the gateway",
    "data": "read, verify, screen",
    "training": "hardened models",
    "report": "the page",
    "access": "who may",
    "governance": "audits",
    "operations": "incidents",
    "release": "the folder that proves itself",
    "records": "sign, log, read back",
    "attacks": "the adversary",
    "custody": "keys, seals, ledger",
    "models": "what a model is",
    "core": "nouns, errors, registry",
}


def floors() -> list[list[tuple[str, bool]]]:
    """Return the floors, top first: each room with whether it is built."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (c for c in settings["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    names = [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]
    return [[(name.strip("()"), not name.startswith("(")) for name in floor] for floor in names]


def imports(rooms: list[str]) -> list[tuple[str, str]]:
    """Return the pairs (room, room that it imports)."""
    graph = grimp.build_graph("hauberk", include_external_packages=False, cache_dir=None)
    found = set()
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            pair = tuple([*name.split("."), ""][1] for name in (module, other))
            if pair[0] != pair[1] and set(pair) <= set(rooms):
                found.add(pair)
    return sorted(found)


def reduced(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the pairs that do not follow from others (transitive reduction; the pairs have no circle)."""
    below: dict[str, set[str]] = {}
    for one, other in pairs:
        below.setdefault(one, set()).add(other)

    def reaches(start: str, end: str) -> bool:
        return any(step == end or reaches(step, end) for step in below.get(start, ()))

    return [(a, b) for a, b in pairs if not any(reaches(step, b) for step in below[a] - {b})]


def draw() -> str:
    """Return the picture as SVG text: the same imports give the same text."""
    plan = floors()
    boxes: dict[str, tuple[float, float, float]] = {}
    shapes = []
    for number, floor in enumerate(plan):
        y = TOP + number * (TALL + GAP)
        wide = (WIDTH - 12 * (len(floor) + 1)) / len(floor)
        for place, (room, built) in enumerate(floor):
            x = 12 + place * (wide + 12)
            boxes[room] = (x, y, wide)
            says = SAYS[room] if built else "to come"
            style = (
                'fill="#eef3f8" stroke="#2f5d8a"' if built else 'fill="#fff" stroke="#999" stroke-dasharray="5 4"'
            )
            shapes += [
                f'<rect x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{TALL}" rx="5" {style}/>',
                f'<text x="{x + wide / 2:.1f}" y="{y + 19}" font-weight="bold">{escape(room)}</text>',
                f'<text x="{x + wide / 2:.1f}" y="{y + 36}" font-size="11">{escape(says)}</text>',
            ]
    height = TOP + len(plan) * (TALL + GAP)
    built = [room for floor in plan for room, there in floor if there]
    arrows = [_arrow(boxes[one], boxes[other]) for one, other in reduced(imports(built))]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {FONT}>',
            '<rect width="100%" height="100%" fill="#fff"/>',
            f'<marker id="tip" {TIP}><path d="M0 0L8 4L0 8z" fill="#b06a2c"/></marker>',
            '<g stroke="#b06a2c" stroke-width="1.5" fill="none" marker-end="url(#tip)">',
            *arrows,
            "</g>",
            *shapes,
            "</svg>\n",
        ]
    )


def _arrow(one: tuple[float, float, float], other: tuple[float, float, float]) -> str:
    x1, x2 = one[0] + one[2] / 2, other[0] + other[2] / 2
    y1, y2 = one[1] + TALL, other[1]
    # A line through a floor in between bends to its side, so that no box hides it wholly.
    bend = 0 if y2 - y1 <= GAP else (26 if x2 >= x1 else -26)
    return f'<path d="M{x1:.1f} {y1}C{x1 + bend:.1f} {y1 + GAP} {x2 + bend:.1f} {y2 - GAP} {x2:.1f} {y2}"/>'


if __name__ == "__main__":
    picture = draw()
    if "--check" in sys.argv:
        sys.exit(PICTURE.read_text(encoding="utf-8") != picture)
    PICTURE.write_text(picture, encoding="utf-8")
