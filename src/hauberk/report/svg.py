"""Markup for pictures: attributes and text of elements are always escaped, so that no name can become code."""

from __future__ import annotations

from markupsafe import Markup, escape

from hauberk.core.text import visible


def attribute(value: object) -> str:
    """Return an attribute's text; coordinates are rounded to a tenth, which is not visible."""
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return visible(value)


def picture(*parts: Markup, identity: str, title: str, told: str, size: tuple[float, float], look: str) -> Markup:
    """Return an inline SVG of `size`, with a title and a description for screen readers.

    identity: unique on the page. look: its class.
    """
    return tag(
        "svg",
        tag("title", title, id=f"{identity}-title"),
        tag("desc", told, id=f"{identity}-desc"),
        *parts,
        viewBox=f"0 0 {size[0]:.0f} {size[1]:.0f}",
        role="img",
        aria_labelledby=f"{identity}-title {identity}-desc",
        class_=look,
    )


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """Return one element. Attribute names take `_` for `-`, and a trailing `_` is dropped (`class_`).

    `name` and attribute names are literals of this package. An attribute that is None is omitted.
    """
    written = Markup("").join(
        Markup(' {}="{}"').format(Markup(key.rstrip("_").replace("_", "-")), attribute(value))  # noqa: S704
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(child if isinstance(child, Markup) else escape(visible(child)) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, inner)  # noqa: S704 - a literal of ours
