"""Transactions as a graph, linked by digests, and the part of the graph around one set or model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Subject
from hauberk.records.lineage import (
    AUDITED,
    EXTENDED,
    IMPORTED,
    OFFERED,
    RELEASED,
    REPAIRED,
    SEALED,
    SPLIT,
    TRUSTED,
    USED,
    Transaction,
)

_TITLES = {
    IMPORTED: "imported",
    REPAIRED: "repaired",
    SPLIT: "split",
    OFFERED: "offered to an update",
    EXTENDED: "extended by new rows",
    TRUSTED: "trusted by a person",
    SEALED: "sealed",
    USED: "used for training",
    RELEASED: "released",
    AUDITED: "audited",
}


@dataclass(frozen=True, slots=True)
class Node:
    """A transaction and its links.

    parents: entries whose outputs it used, the latest last. via: parent to the artifact that links them. depth: longest
    distance from a source. times: number of consecutive audits that it represents, see `folded`.
    """

    of: Transaction
    parents: tuple[int, ...]
    via: Mapping[int, Subject]
    depth: int
    times: int = 1

    @property
    def title(self) -> str:
        """The event in words."""
        return _TITLES.get(self.of.event, self.of.event)

    @property
    def says(self) -> str:
        """One line: the set or model, its size, the source."""
        details, parts = self.of.details, []
        if self.of.event == USED:
            parts.append(f"{details.get('role', '')} model from {details['rows']['train']['rows']:,} rows")
        elif self.of.event == SPLIT:
            parts += [f"{side} {told['rows']:,} rows" for side, told in details["rows"].items()]
        elif self.of.event == REPAIRED and {"removed", "kept"} <= details.keys():
            parts.append(f"{details['removed']:,} rows set aside, {details['kept']:,} kept")
        elif self.of.event == AUDITED:
            worst = [str(finding["severity"]) for finding in details["findings"]]
            parts.append("alarm" if "critical" in worst else f"{len(worst)} findings" if worst else "as recorded")
            parts += [f"{self.times:,} times in a row"] if self.times > 1 else []
        elif self.of.outputs:
            names = [subject.name for subject in self.of.outputs]
            parts.append(", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else ""))
        if "bytes" in details:
            files = "1 file" if details["files"] == 1 else f"{details['files']:,} files"
            parts.append(f"{files}, {details['bytes']:,} bytes")
        if self.of.source:
            parts.append(f"from {self.of.source}")
        return "; ".join(part for part in parts if part)


def graph(transactions: Sequence[Transaction]) -> list[Node]:
    """Return the nodes in the order of the ledger. An input is linked to the latest earlier transaction with that output."""
    maker: dict[str, int] = {}
    depths: dict[int, int] = {}
    nodes = []
    for one in transactions:
        via = {maker[subject.sha256]: subject for subject in one.inputs if subject.sha256 in maker}
        parents = tuple(sorted(via))
        depths[one.index] = 1 + max((depths[parent] for parent in parents), default=-1)
        nodes.append(Node(one, parents, via, depths[one.index]))
        maker |= {subject.sha256: one.index for subject in one.outputs}
    return nodes


def folded(nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes; consecutive audits without findings of an unchanged set become one node, the last of them.

    Otherwise a set that is audited each day would fill the picture.
    """
    kept: dict[int, Node] = {}
    quiet: dict[tuple[object, ...], Node] = {}
    for node in nodes:
        fresh = node
        if node.of.event == AUDITED:
            state = (node.parents, node.of.details["parameters"].get("set"))
            last = quiet.pop(state, None)
            if not node.of.details["findings"]:
                if last is not None:
                    fresh = replace(node, times=last.times + 1)
                    del kept[last.of.index]
                quiet[state] = fresh
        kept[node.of.index] = fresh
    return list(kept.values())


def about(nodes: Sequence[Node], name: str) -> list[Node]:
    """Return the ancestors and descendants of the artifacts with this name; "" returns all. Raises InvalidInput."""
    if not name:
        return list(nodes)
    by_index = {node.of.index: node for node in nodes}
    children: dict[int, list[int]] = {}
    for node in nodes:
        for parent in node.parents:
            children.setdefault(parent, []).append(node.of.index)
    named = [
        node.of.index
        for node in nodes
        if name in {subject.name for subject in node.of.outputs}
        or name in (node.of.details.get("set"), node.of.details.get("role"))
    ]
    if not named:
        known = sorted({str(node.of.details["set"]) for node in nodes if "set" in node.of.details})
        raise InvalidInput(f"the ledger knows nothing named {name[:80]!r}; sets: {', '.join(known) or 'none'}.")
    before = _reached(named, lambda index: by_index[index].parents)
    after = _reached(named, lambda index: children.get(index, ()))
    return [node for node in nodes if node.of.index in before | after]


def _reached(starts: Sequence[int], step: Callable[[int], Sequence[int]]) -> set[int]:
    found, open_ends = set(starts), list(starts)
    while open_ends:
        fresh = set(step(open_ends.pop())) - found
        found |= fresh
        open_ends += fresh
    return found
