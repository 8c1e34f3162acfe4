"""Why a segment of a sealed stream does not authenticate, told as exactly as the cryptography allows.

`streams` calls this only after a segment has failed. The bytes at hand are then tried in the places where an
attacker could have taken them from: the same place with the other end mark, and other places of the stream.

What can be told apart: a stream cut at a segment border (its last segment authenticates as one that has a
successor); bytes appended at a segment border (an inner segment authenticates as the last); segments swapped,
repeated or left out (a segment authenticates under another index); a right key and associated data with a
foreign or changed segment (other segments authenticate). What cannot: a wrong key from wrong associated data,
for both enter one key derivation (`sealing` tells them apart with its header); a changed segment from one
spliced in from another stream; a last segment cut inside from a changed one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

# Each try costs one pass over a segment: for 1 MiB well under a millisecond, so a second at most.
_FARTHEST = 512

Opens = Callable[[int, int, bool], bool]
"""(position, index, last) -> whether the bytes at `position` authenticate as segment `index` with that end mark."""


def diagnose(position: int, count: int, opens: Opens) -> str:
    """Return the sentence that says what is wrong with the segment at `position` of `count`."""
    last = position == count - 1
    if opens(position, position, not last):
        if last:
            return (
                f"it is truncated: it ends after segment {position + 1}, which was sealed with more to follow. "
                "Fetch the whole file again."
            )
        return (
            f"it goes on past its end: segment {position + 1} of {count} was sealed as the last one, so bytes were "
            "appended. Fetch the original file again."
        )
    if not _any_other_opens(position, count, opens):
        return _nothing_opens(count)
    for index in _near(position, count):
        if opens(position, index, False) or opens(position, index, True):
            return (
                f"its segments are out of order: at place {position + 1} stands the one sealed as number "
                f"{index + 1}, so segments were reordered, repeated or left out. Fetch the original file again."
            )
    return (
        f"segment {position + 1} of {count} was changed or spliced in from another stream"
        + (", or the file was cut off inside it" if last else "")
        + "; the key and the associated data are right, for other segments authenticate. "
        "Fetch the original file again."
    )


def _any_other_opens(position: int, count: int, opens: Opens) -> bool:
    others = {0, 1, count - 1} - {position}
    return any(opens(i, i, i == count - 1) for i in others if i < count)


def _nothing_opens(count: int) -> str:
    if count == 1:
        return (
            "the key or the associated data is not the one it was sealed with, or its only segment was changed, "
            "cut off or taken from another stream. Check both, then fetch the original file again."
        )
    return (
        "the key or the associated data is not the one it was sealed with: no segment authenticates. A damaged "
        "stream header looks the same. Check both, then fetch the original file again."
    )


def _near(position: int, count: int) -> Iterator[int]:
    # Beyond `count` too: where segments were left out, a later one stands at an earlier place.
    for distance in range(1, min(count + 8, _FARTHEST)):
        for index in (position + distance, position - distance):
            if index >= 0:
                yield index
