"""Draws: process-wide generators are held for a block, given back, and never shared by two trainings."""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from hauberk import training
from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet
from hauberk.training import Options
from hauberk.training._randomness import Draws, device_of, seeded


def drawn():
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002 - the process-wide ones


def standing():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002


def test_a_seed_gives_the_numbers_that_seeding_the_process_would():
    with seeded(7):
        inside = drawn()
    before = standing()
    random.seed(7)
    np.random.seed(7)  # noqa: NPY002 - as above
    torch.manual_seed(7)
    assert inside == drawn()
    with seeded(8):
        assert drawn() != inside
    assert before != standing()


def test_a_block_restores_the_generators_also_when_it_fails():
    torch.manual_seed(5)
    before, strict = standing(), torch.are_deterministic_algorithms_enabled()

    def fail():
        drawn()
        assert torch.are_deterministic_algorithms_enabled()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), seeded(1):
        fail()
    assert standing() == before
    assert torch.are_deterministic_algorithms_enabled() is strict


def test_blocks_of_one_value_continue_where_the_last_left_it():
    draws = Draws.of(3)
    with draws.held():
        first = drawn()
    drawn()
    with draws.held():
        second = drawn()
    with seeded(3):
        assert (drawn(), drawn()) == (first, second)


def test_packed_states_survive_json_and_continue():
    draws, other = Draws.of(3), Draws.of(4)
    with draws.held():
        drawn()
    packed = draws.pack()
    tensor = packed.pop("torch")
    other.unpack({**json.loads(json.dumps(packed)), "torch": tensor})
    with draws.held():
        expected = drawn()
    with other.held():
        assert drawn() == expected


def test_a_thread_waits_until_the_block_of_another_ends():
    order, inside, let_go = [], threading.Event(), threading.Event()

    def first():
        with seeded(1):
            inside.set()
            let_go.wait(10)
            order.append(("first", float(torch.rand(()))))

    def second():
        inside.wait(10)
        let_go.set()
        with seeded(2):
            order.append(("second", float(torch.rand(()))))

    threads = [threading.Thread(target=run) for run in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    expected = []
    for name, seed in (("first", 1), ("second", 2)):
        with seeded(seed):
            expected.append((name, float(torch.rand(()))))
    assert order == expected


def dropping(spec):
    """Draws its first weights and its dropout from torch's process-wide generator."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, spec.classes))


def test_two_threads_train_at_once_and_get_the_bits_of_two_runs_one_after_the_other(digits):
    options, met, epochs = Options(epochs=4), threading.Barrier(2, timeout=30), []

    class Listening(Quiet):
        def __init__(self, seed):
            self.seed = seed

        def update(self, done, *, text=""):  # noqa: ARG002 - the signature of Task
            epochs.append((self.seed, text.partition(" of ")[0]))

    def weights(seed):
        outcome = training.train(
            dropping,
            digits.spec,
            digits.x,
            digits.y,
            options=options,
            seed=seed,
            device="cpu",
            task=Listening(seed),
        )
        return outcome.model.weights()

    expected = [weights(seed) for seed in (1, 2)]
    epochs.clear()
    got = {}

    def run(seed):
        met.wait()
        got[seed] = weights(seed)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in (1, 2)]
    before = standing()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [got[1], got[2]] == expected
    assert standing() == before
    # One epoch is never mixed with another: all its batches come in a row.
    runs = [entry for number, entry in enumerate(epochs) if number == 0 or epochs[number - 1] != entry]
    assert len(runs) == len(set(runs))


@pytest.mark.parametrize(("name", "said"), [("tpu", "is not known: use"), ("cuda:99", "this machine has")])
def test_a_device_that_is_absent_is_refused(name, said):
    with pytest.raises(InvalidInput, match=said):
        device_of(name)


def test_loading_and_training_leave_environment_threads_and_switches_alone(digits, tmp_path):
    (tmp_path / "model.py").write_text(
        "from torch import nn\ndef build(spec):\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, spec.classes))\n"
    )

    def settings():
        switches = (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark)
        return dict(os.environ), torch.get_num_threads(), switches, list(warnings.filters), sys.stdout

    before, generators = settings(), standing()
    build = training.load_callable("model:build", tmp_path)
    training.train(build, digits.spec, digits.x[:100], digits.y[:100], options=Options(epochs=1), device="cpu")
    assert settings() == before
    assert standing() == generators
