"""The training loop for torch modules: seeded, resumable, with its parts handed in.

Plain and hardened training run the same loop. A `Method` changes each batch and defines the loss on it; a `Descent`
turns that loss into one optimiser step; a `Sampling` draws the rows; a `Schedule` sets the learning rate; a `Watch`
inspects the state after each epoch and may restore an earlier one, replace the method or end the run. Everything the
next epoch depends on is in `State`: a run that was killed, or stopped and handed back, continues to the same bits.
Imports torch when it is imported; `fitting` checks for torch first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn

from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet, Task
from hauberk.models.layers import quickened
from hauberk.models.network import last_channels
from hauberk.models.port import Floats, Labels
from hauberk.training._randomness import seeded
from hauberk.training.batch import Batch
from hauberk.training.checkpoint import Checkpoint
from hauberk.training.descent import Descent, MeanLoss, Step
from hauberk.training.options import Recipe
from hauberk.training.sampling import Sampling, Shuffled
from hauberk.training.state import State
from hauberk.training.watching import Method, Plain, Watch

RISE = 0.25  # share of the run in which the learning rate of `one_cycle` rises

# From the share of the run that is done, in [0, 1), to the share of the recipe's learning rate for the next step.
Schedule = Callable[[float], float]


def one_cycle(done: float) -> float:
    """Return the share of the top learning rate at `done` in [0, 1]: linear up from a tenth, then half a cosine."""
    if done < RISE:
        return 0.1 + 0.9 * done / RISE
    return 0.5 * (1 + math.cos(math.pi * (done - RISE) / (1 - RISE))) + 1e-3


@dataclass(slots=True)
class Run:
    """How one training runs, on which device, and with which hardening.

    recipe.epochs: length of the whole schedule. until: the call returns after this epoch; None is recipe.epochs.
    warmup: share of the epochs in which the budget grows to its full size. sampling: None shuffles in batches of
    recipe.batch. checkpoint: where the state is stored between epochs.
    """

    recipe: Recipe
    seed: int
    device: str
    method: Method = field(default_factory=Plain)
    watches: Sequence[Watch] = ()
    warmup: float = 0.0
    descent: Descent = field(default_factory=MeanLoss)
    sampling: Sampling | None = None
    schedule: Schedule = one_cycle
    until: int | None = None
    checkpoint: Checkpoint | None = None
    task: Task = field(default_factory=Quiet)


def train(module: nn.Module, x: Floats, y: Labels, run: Run, state: State | None = None) -> State:
    """Train in place and return the state, with its history: epoch, loss and accuracy on the changed batches.

    x: (n, ...) float32, y: (n,) int64; n >= 2. state: None starts anew from `run.seed`; a state that an earlier call
    returned, or that was unpacked for this module, continues at `state.epoch`, so that two calls of two epochs give
    the same bits as one call of four. Best weights and averages are written into the module when the whole run ends
    (recipe.epochs, or a watch that stopped it); before that, `state.kept` is the module to evaluate.

    Raises InvalidInput when the loss becomes NaN or infinite, with epoch and batch, and for the state of another
    module. On an interrupt the module is left as it is and the interrupt propagates. The process-wide generators are
    held for one epoch at a time, see `_randomness`.
    """
    if state is not None and state.module is not module:
        raise InvalidInput(
            "the state belongs to another module. Pass the module it was made for, or State.fresh(module, ...) and "
            "unpack the packed state into it."
        )
    module.to(run.device).train()
    with _laid_out(module, torch.from_numpy(x[:2]).to(run.device)):
        return _train(module, x, y, run, state)


def _train(module: nn.Module, x: Floats, y: Labels, run: Run, state: State | None) -> State:
    inputs, labels = torch.from_numpy(x).to(run.device), torch.from_numpy(y).to(run.device)
    begun = state is not None
    state = state or State.fresh(module, run.recipe, seed=run.seed, device=run.device)
    if run.checkpoint is not None:
        begun = run.checkpoint.restore(state, _remembering(run)) or begun
    if not begun:
        with state.draws.held():
            for watch in run.watches:
                watch.after(0, state)
    last = run.recipe.epochs if run.until is None else min(run.until, run.recipe.epochs)
    while state.epoch < last and not _stopped(run):
        with state.draws.held():
            entry = _epoch(state, inputs, labels, run)
            state.epoch += 1
            for watch in run.watches:
                entry |= watch.after(state.epoch, state)
        state.history.append(entry)
        if run.checkpoint is not None:
            run.checkpoint.keep(state, _remembering(run))
    if state.epoch >= run.recipe.epochs or _stopped(run):
        for watch in run.watches:
            watch.finish(state)
        state.settle()
    module.eval()
    run.task.update(1.0)
    return state


def _remembering(run: Run) -> list[Watch | Descent]:
    return [*run.watches, run.descent]


def _stopped(run: Run) -> bool:
    return any(watch.stop for watch in run.watches)


@contextmanager
def _laid_out(module: nn.Module, rows: Tensor) -> Iterator[None]:
    """Hold the module in channels-last layout with quick layers inside the block, if its code works in that layout."""
    with ExitStack() as held:
        held.callback(lambda: module.to(memory_format=torch.contiguous_format))  # type: ignore[call-overload]  # missing in torch's types
        held.enter_context(quickened(module))
        if _bears(module, rows):
            last_channels(module)
        else:
            held.close()
        yield


def _bears(module: nn.Module, rows: Tensor) -> bool:
    """Return whether a copy in channels-last layout computes scores, in training and in evaluation mode.

    rows: two, because every layout of one row can be viewed. Weights, statistics and random states are left alone.
    """
    with seeded(0), torch.no_grad():
        try:
            copied = last_channels(deepcopy(module))
            copied(rows.clone())
            copied.eval()(rows.clone())
        except Exception:  # noqa: BLE001 - a team's code; the training itself reports what is wrong with it
            return False
    return True


def _epoch(state: State, inputs: Tensor, labels: Tensor, run: Run) -> dict[str, float]:
    recipe, sampling = run.recipe, run.sampling or Shuffled(run.recipe.batch)
    method = next((watch.method for watch in run.watches if watch.method is not None), run.method)
    batches = sampling.batches(len(inputs))
    total = recipe.epochs * batches
    sums, seen = np.zeros(2), 0
    for number, rows in enumerate(sampling.epoch(len(inputs), state.order)):
        turn = state.epoch * batches + number
        state.set_rate(recipe.learning_rate * run.schedule(turn / total))
        chosen = rows.to(run.device)
        strength = _strength(turn / total, run.warmup)
        batch = Batch.of(inputs[chosen], labels[chosen], strength=strength, turn=turn)
        step, batch = _step(state, batch, run, method)
        if not math.isfinite(step.loss):
            raise InvalidInput(_diverged(step.loss, state.epoch, number, recipe))
        right = int((step.scores.argmax(1) == batch.y).sum())
        sums += step.loss * len(rows), right
        seen += len(rows)
        run.task.update(
            (turn + 1) / total, text=f"epoch {state.epoch + 1} of {recipe.epochs}, loss {step.loss:.3f}"
        )
    mean = sums / max(seen, 1)
    return {"epoch": state.epoch + 1.0, "loss": float(mean[0]), "accuracy": float(mean[1])}


def _step(state: State, batch: Batch[Tensor], run: Run, method: Method) -> tuple[Step, Batch[Tensor]]:
    """Augment, harden and descend; return what the step measured, and the batch as it was trained on."""
    module = state.module
    if len(batch.y):  # a batch drawn at random may be empty: nothing to change, and the descent may still add noise
        if run.recipe.augment == "shift":
            moved = shifted(batch.x, state.rng)
            batch = replace(batch, x=moved, changed=moved)
        with _precision(run.recipe, run.device):
            batch = replace(batch, changed=method.perturb(module, batch, rng=state.rng))

    def objective(answering: nn.Module, part: Batch[Tensor]) -> tuple[Tensor, Tensor]:
        # A context of its own each time: autocast keeps low-precision copies of the weights while one is open, and
        # the weights may move between two evaluations.
        with _precision(run.recipe, run.device):
            return method.loss(answering, part)

    module.train()
    step = run.descent.step(objective, batch, module=module, optimizer=state.optimizer, rng=state.rng)
    state.follow()
    return step, batch


def shifted(x: Tensor, rng: torch.Generator) -> Tensor:
    """Shift each picture (n, c, h, w) by up to a sixteenth of its side, at least a pixel; edge pixels fill the gap."""
    n, _, height, width = x.shape
    reach = max(1, max(height, width) // 16)
    moves = torch.randint(-reach, reach + 1, (2, n), generator=rng, device=x.device)
    rows = (torch.arange(height, device=x.device) + moves[0][:, None]).clamp(0, height - 1)
    columns = (torch.arange(width, device=x.device) + moves[1][:, None]).clamp(0, width - 1)
    each = torch.arange(n, device=x.device)[:, None, None]
    return x.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def _bfloat16_pays(device: str) -> bool:
    """Return whether the device has arithmetic units for bfloat16, so that it saves time; processors may have them."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    ask = getattr(torch.cpu, "get_capabilities", None)  # exists as of torch 2.10; without it the answer is no
    able = ask() if device == "cpu" and ask else {}
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def _precision(recipe: Recipe, device: str) -> torch.autocast:
    on = recipe.precision == "bf16" or (recipe.precision == "auto" and _bfloat16_pays(device))
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=on)


def _strength(done: float, warmup: float) -> float:
    return 1.0 if done >= warmup else max(done / warmup, 1e-3)


def _diverged(loss: float, epoch: int, batch: int, recipe: Recipe) -> str:
    value = "NaN" if math.isnan(loss) else "infinite"
    return (
        f"the loss became {value} in epoch {epoch + 1}, batch {batch + 1}. Lower learning_rate (it is "
        f"{recipe.learning_rate:g}), or look for a division by zero or the logarithm of zero in the model."
    )
