"""Why a segment of a sealed stream does not authenticate, as precisely as the cryptography allows.

`streams` calls this only after a segment failed. It then tries to authenticate the segment's bytes with the other end mark,
and as segments at other positions of the stream.

It distinguishes: a stream cut at a segment border (its last segment authenticates as one that has a
successor); bytes appended at a segment border (an inner segment authenticates as the last); segments swapped,
repeated or left out (a segment authenticates under another index); a right key and associated data with a
foreign or changed segment (other segments authenticate). It cannot distinguish: a wrong key from wrong associated data,
because both enter one key derivation (`sealing` distinguishes them by its header); a changed segment from one
spliced in from another stream; a last segment that was cut inside from a changed one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

# Each attempt costs one pass over a segment: under a millisecond for 1 MiB, so at most a second in all.
_FARTHEST = 512

Opens = Callable[[int, int, bool], bool]
"""(position, index, last) -> whether the bytes at `position` authenticate as segment `index` with that end mark."""


def diagnose(position: int, count: int, opens: Opens) -> str:
    """Return a sentence that says what is wrong with the segment at `position` of `count`."""
    last = position == count - 1
    if opens(position, position, not last):
        if last:
            return (
                f"it is truncated: it ends after segment {position + 1}, which was not sealed as the last one. "
                "Fetch the whole file again."
            )
        return (
            f"it continues past its end: segment {position + 1} of {count} was sealed as the last one, so bytes were "
            "appended. Fetch the original file again."
        )
    if not _any_other_opens(position, count, opens):
        return _nothing_opens(count)
    for index in _near(position, count):
        if opens(position, index, False) or opens(position, index, True):
            return (
                f"its segments are out of order: at position {position + 1} is the one sealed as number "
                f"{index + 1}, so segments were reordered, repeated or omitted. Fetch the original file again."
            )
    return (
        f"segment {position + 1} of {count} was changed or spliced in from another stream"
        + (", or the file was cut off inside it" if last else "")
        + "; the key and the associated data are right, because other segments authenticate. "
        "Fetch the original file again."
    )


def _any_other_opens(position: int, count: int, opens: Opens) -> bool:
    others = {0, 1, count - 1} - {position}
    return any(opens(i, i, i == count - 1) for i in others if i < count)


def _nothing_opens(count: int) -> str:
    if count == 1:
        return (
            "the key or the associated data is not what it was sealed with, or its only segment was changed, "
            "cut off or taken from another stream. Check both, then fetch the original file again."
        )
    return (
        "the key or the associated data is not what it was sealed with: no segment authenticates. A damaged "
        "stream header looks the same. Check both, then fetch the original file again."
    )


def _near(position: int, count: int) -> Iterator[int]:
    # Beyond `count` too: after an omission, a later segment is at an earlier position.
    for distance in range(1, min(count + 8, _FARTHEST)):
        for index in (position + distance, position - distance):
            if index >= 0:
                yield index
