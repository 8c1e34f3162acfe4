"""The events that show a practice at work; the practices themselves are listed in `core.practices`."""

from __future__ import annotations

SEALED_RELEASE = ("release.made", "3a")
"""This event shows this practice at work if its details say that the models were sealed."""

PRACTICES_OF_EVENT: dict[str, tuple[str, ...]] = {
    "data.loaded": ("A4",),
    "data.sealed": ("1b", "A4"),
    "data.repaired": ("1a", "A4"),
    "data.offered": ("A4",),
    "data.extended": ("A4",),
}
"""Every other event counts for no practice: an event is no measurement."""
