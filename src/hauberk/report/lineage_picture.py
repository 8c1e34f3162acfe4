"""The lineage as a tree for the terminal, as SVG, and as a page with the SVG and every digest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from hauberk.core.text import visible
from hauberk.records.lineage import AUDITED
from hauberk.records.lineage_graph import Node
from hauberk.report.formats import instant, short
from hauberk.report.svg import tag

if TYPE_CHECKING:
    from rich.tree import Tree

_WIDTH, _TALL, _STEP, _INDENT, _EDGE = 430.0, 62.0, 84.0, 40.0, 10.0
_PAGE = (
    "body{font:14px/1.5 system-ui,sans-serif;margin:2rem}td,th{text-align:left;vertical-align:top;padding:4px 8px}"
    "table{border-collapse:collapse;margin-top:2rem}tr{border-bottom:1px solid #8886}"
    "td div{min-width:13rem;margin-bottom:4px}code{display:block;font-size:11px;word-break:break-all;opacity:.75}"
    ":root{color-scheme:light dark}"
)
_STYLE = """
svg{font:13px/1.4 system-ui,sans-serif;max-width:100%}rect{fill:#fff;stroke:#4a6785;stroke-width:1.2}
.alarm rect{stroke:#b3261e;stroke-width:2.4}.strong{font-weight:600}.dim{fill:#5b6570;font-size:11.5px}
path{fill:none;stroke:#4a6785;stroke-width:1.4}.tip{fill:#4a6785;stroke:none}
@media (prefers-color-scheme:dark){rect{fill:#1d242c;stroke:#8fb0d0}text{fill:#e8edf2}.dim{fill:#aab6c2}
path{stroke:#8fb0d0}.tip{fill:#8fb0d0}}
"""


def tree(nodes: Sequence[Node], title: str) -> Tree:
    """Return the lineage as a tree: each transaction under the last one that provided an input to it."""
    from rich.text import Text
    from rich.tree import Tree

    root = Tree(Text(visible(title), style="bold"))
    branches: dict[int, Tree] = {}
    for node in nodes:
        shown = [parent for parent in node.parents if parent in branches]
        above = branches[shown[-1]] if shown else root
        line = Text(f"{node.title}  ", style="bold red" if alarming(node) else "bold")
        line.append(visible(node.says), style="default not bold")
        line.append(
            f"\n{instant(node.of.time)}  {visible(node.of.by)}  entry {node.of.index}".replace("    ", "  "),
            style="dim",
        )
        if len(shown) > 1:
            line.append(f", also from entry {', '.join(map(str, shown[:-1]))}", style="dim")
        for subject in node.of.outputs[:3]:
            line.append(f"\n{short(subject.sha256)} {visible(subject.name)}", style="cyan")
        branches[node.of.index] = above.add(line)
    return root


def alarming(node: Node) -> bool:
    """Whether this is an audit that found an unrecorded change."""
    return node.of.event == AUDITED and any(f["severity"] == "critical" for f in node.of.details["findings"])


def svg(nodes: Sequence[Node]) -> Markup:
    """Return the lineage as SVG: one box for each transaction, in the order of the ledger, and an arrow for each digest used."""
    places = {node.of.index: (_EDGE + node.depth * _INDENT, _EDGE + row * _STEP) for row, node in enumerate(nodes)}
    width = max((x for x, _ in places.values()), default=0.0) + _WIDTH + _EDGE
    height = len(nodes) * _STEP + _EDGE
    told = "; ".join(f"{node.title}: {node.says}" for node in nodes)
    return tag(
        "svg",
        tag("title", "Lineage from sources to models", id="lineage-title"),
        tag("desc", told, id="lineage-desc"),
        tag("style", Markup(_STYLE)),  # noqa: S704 - a literal of ours
        *(_arrow(places[p], places[node.of.index], node, p) for node in nodes for p in node.parents if p in places),
        *(_box(node, places[node.of.index]) for node in nodes),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=width,
        height=height,
        role="img",
        aria_labelledby="lineage-title lineage-desc",
    )


def page(nodes: Sequence[Node], title: str) -> str:
    """Return an HTML page with the picture and a table of every digest."""
    rows = [
        tag(
            "tr",
            tag("td", node.of.index),
            tag("td", instant(node.of.time)),
            tag("td", node.title),
            tag("td", node.of.by),
            tag("td", node.says),
            *(
                tag("td", *(tag("div", subject.name, tag("code", subject.sha256)) for subject in subjects))
                for subjects in (node.of.inputs, node.of.outputs)
            ),
        )
        for node in nodes
    ]
    names = ("entry", "time", "what", "who", "about", "went in", "came out")
    head = tag("tr", *(tag("th", name, scope="col") for name in names))
    body = tag("body", tag("h1", title), svg(nodes), tag("table", head, *rows))
    heading = tag("head", tag("title", title), tag("style", Markup(_PAGE)))  # noqa: S704 - a literal of ours
    return f'<!doctype html><html lang="en"><meta charset="utf-8">{heading}{body}</html>\n'


def _box(node: Node, corner: tuple[float, float]) -> Markup:
    x, y = corner
    made = node.of.outputs[0] if node.of.outputs else node.of.inputs[0] if node.of.inputs else None
    parts = [
        tag("rect", x=x, y=y, width=_WIDTH, height=_TALL, rx=7),
        tag("text", node.title, x=x + 12, y=y + 20, class_="strong"),
        tag("text", f"#{node.of.index}", x=x + _WIDTH - 12, y=y + 20, text_anchor="end", class_="dim"),
        tag("text", tag("title", node.says), _cut(node.says, 58), x=x + 12, y=y + 37),
        tag(
            "text",
            _cut(f"{instant(node.of.time)}  {node.of.by}  {short(made.sha256) if made else ''}", 74),
            x=x + 12,
            y=y + 53,
            class_="dim",
        ),
    ]
    return tag("g", *parts, class_="alarm" if alarming(node) else None)


def _arrow(start: tuple[float, float], end: tuple[float, float], node: Node, parent: int) -> Markup:
    """Draw an arrow from the bottom of the earlier box to the side of the later one, with the shared digest as a tooltip."""
    x, y0 = start[0] + _INDENT / 2, start[1] + _TALL
    y1 = end[1] + _TALL / 2
    tip = f"M{end[0] - 7:.1f} {y1 - 4.5:.1f}L{end[0]:.1f} {y1:.1f}L{end[0] - 7:.1f} {y1 + 4.5:.1f}Z"
    subject = node.via[parent]
    told = tag("title", f"both name {subject.name}, {subject.sha256}")
    return tag(
        "g", told, tag("path", d=f"M{x:.1f} {y0:.1f}V{y1:.1f}H{end[0] - 6:.1f}"), tag("path", d=tip, class_="tip")
    )


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"
