"""The shapes of controls: a guard can be written against its protocol, and a stream that it saw can be replayed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from hauberk.core.control import Guard, Observation, seed_of
from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Evidence
from hauberk.core.findings import Finding, Kind, Place, Severity
from hauberk.core.principal import UNKNOWN

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Seen:
    """How many requests each client may make in a minute, and when it made the last ones."""

    limit: int
    times: tuple[tuple[str, datetime], ...] = ()


class QueryRate:
    """The smallest useful guard: a client that asks more often in a minute than a black-box attack needs is refused."""

    def calibrate(self, evidence: Sequence[Evidence]) -> Seen:
        told = [one.metrics["queries_square"] for one in evidence if one.control == "attack"]
        if not told:
            raise InvalidInput("the guard needs evidence of the control attack, and there is none.")
        return Seen(int(min(told)))

    def see(self, batch: Sequence[str], state: Seen, *, now: datetime) -> Observation[Seen]:
        recent = [one for one in state.times if now - one[1] < timedelta(minutes=1)]
        refused = []
        for index, client in enumerate(batch):
            recent.append((client, now))
            if sum(name == client for name, _ in recent) > state.limit:
                refused.append(index)
        findings = tuple(
            Finding("asks too often", Place(Kind.CLIENT, name), Severity.HIGH, "Block it.", threat="evasion")
            for name in sorted({batch[index] for index in refused})
        )
        return Observation(
            replace(state, times=tuple(recent)), tuple(refused), findings, {"rate": float(len(recent))}
        )


GUARD: Guard[Sequence[str], Seen] = QueryRate()


def measured(queries: float, control: str = "attack") -> Evidence:
    metrics = {"queries_square": queries}
    return Evidence(
        control, "2a", "attacked", (), {}, 0, {}, "", "", UNKNOWN, metrics, (), {}, (), {}, ()
    )  # fmt: skip


def test_a_guard_takes_its_limits_from_evidence_and_names_what_is_missing():
    assert GUARD.calibrate([measured(9), measured(3)]).limit == 3
    with pytest.raises(InvalidInput, match="control attack"):
        GUARD.calibrate([measured(3, control="drift")])


def test_a_replayed_stream_gives_the_same_observations_and_leaves_each_state_unchanged():
    stream = [(["ann", "bob"], 0), (["ann", "ann"], 20), (["ann"], 30), (["ann"], 59), (["ann"], 200)]

    def run():
        state, seen = GUARD.calibrate([measured(3)]), []
        for batch, seconds in stream:
            before = copy.deepcopy(state)
            one = GUARD.see(batch, state, now=NOON + timedelta(seconds=seconds))
            assert state == before
            seen.append(one)
            state = one.state
        return seen

    first = run()
    assert first == run()
    assert [one.refused for one in first] == [(), (), (0,), (0,), ()]


def test_the_seed_of_a_generator_does_not_depend_on_what_was_drawn():
    rng = np.random.default_rng(12345)
    rng.random(100)
    assert seed_of(rng) == 12345
