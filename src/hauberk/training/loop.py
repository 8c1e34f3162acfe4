"""The training loop for torch modules: seeded, one cycle of the learning rate, told when the loss is no number.

Plain and hardened training are this one loop; a `Method` changes each batch and says what is minimised on it, and
`Watch`es look at the state after each epoch: they may put an earlier one back, change the method or end the run.
Everything that the next epoch depends on is in `State`, so that a run that was killed goes on to the same bits.
Imports torch when it is imported; `fitting` asks for torch first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Task
from hauberk.models.layers import quickened
from hauberk.models.network import last_channels
from hauberk.models.port import Floats, Labels
from hauberk.models.torch_model import forward
from hauberk.training import awp, losses
from hauberk.training.checkpoint import Checkpoint
from hauberk.training.options import Recipe
from hauberk.training.state import State
from hauberk.training.watching import Method, Watch

RISE = 0.25  # share of the run in which the learning rate rises


class Plain:
    """No hardening: the cross-entropy on the batch as it is. Methods that only change the batch inherit the loss."""

    def perturb(  # noqa: PLR0913 - as `Method`
        self,
        module: nn.Module,  # noqa: ARG002 - the shape of a method
        x: Tensor,
        y: Tensor,  # noqa: ARG002 - the shape of a method
        *,
        rng: torch.Generator,  # noqa: ARG002 - the shape of a method
        strength: float = 1.0,  # noqa: ARG002 - the shape of a method
        turn: int = 0,  # noqa: ARG002 - the shape of a method
    ) -> Tensor:
        """Return x."""
        return x

    def loss(  # noqa: PLR0913 - as `Method`
        self,
        module: nn.Module,
        x: Tensor,  # noqa: ARG002 - the shape of a method
        changed: Tensor,
        y: Tensor,
        *,
        strength: float = 1.0,  # noqa: ARG002 - the shape of a method
        turn: int = 0,  # noqa: ARG002 - the shape of a method
    ) -> tuple[Tensor, Tensor]:
        """Return the cross-entropy on the changed batch."""
        scores = forward(module, changed)
        return losses.cross_entropy(scores, y), scores


@dataclass(slots=True)
class Run:
    """One training: how, on which device, and with which hardening.

    warmup: share of the epochs in which the budget grows to full. awp: radius of the adversarial perturbation of the
    weights, as a share of each layer's norm; 0 is none. checkpoint: where the state is kept between epochs.
    """

    recipe: Recipe
    seed: int
    device: str
    method: Method = field(default_factory=Plain)
    watches: Sequence[Watch] = ()
    warmup: float = 0.0
    awp: float = 0.0
    checkpoint: Checkpoint | None = None


def train(module: nn.Module, x: Floats, y: Labels, run: Run, task: Task) -> list[dict[str, float]]:
    """Train in place and return the history: epoch, loss and accuracy on the (changed) batches.

    x: (n, ...) float32, y: (n,) int64; n >= 2. Raises InvalidInput when the loss becomes NaN or infinite, with
    epoch and batch. On an interrupt the module is left as it is and the interrupt goes on.
    """
    module.to(run.device).train()
    with _laid_out(module, torch.from_numpy(x[:2]).to(run.device)):
        return _train(module, x, y, run, task)


def _train(module: nn.Module, x: Floats, y: Labels, run: Run, task: Task) -> list[dict[str, float]]:
    state = State.fresh(module, run.recipe, seed=run.seed, device=run.device)
    inputs, labels = torch.from_numpy(x).to(run.device), torch.from_numpy(y).to(run.device)
    if run.checkpoint is None or not run.checkpoint.restore(state, run.watches):
        for watch in run.watches:
            watch.after(0, state)
    while state.epoch < run.recipe.epochs and not any(watch.stop for watch in run.watches):
        entry = _epoch(state, inputs, labels, run, task)
        state.epoch += 1
        for watch in run.watches:
            entry |= watch.after(state.epoch, state)
        state.history.append(entry)
        if run.checkpoint is not None:
            run.checkpoint.keep(state, run.watches)
    for watch in run.watches:
        watch.finish(state)
    state.settle()
    module.eval()
    task.update(1.0)
    return state.history


@contextmanager
def _laid_out(module: nn.Module, rows: Tensor) -> Iterator[None]:
    """Hold the module channels last with quick layers inside the block; unless its code wants the usual ones."""
    with ExitStack() as held:
        held.callback(lambda: module.to(memory_format=torch.contiguous_format))  # type: ignore[call-overload]  # missing in torch's types
        held.enter_context(quickened(module))
        if _bears(module, rows):
            last_channels(module)
        else:
            held.close()
        yield


def _bears(module: nn.Module, rows: Tensor) -> bool:
    """Whether a copy, laid out channels last, answers in training and in evaluation mode.

    rows: two, for of one row every layout can be viewed. Weights, statistics and random states stay as they are.
    """
    with torch.random.fork_rng([rows.device] if rows.is_cuda else []), torch.no_grad():
        try:
            copied = last_channels(deepcopy(module))
            copied(rows.clone())
            copied.eval()(rows.clone())
        except Exception:  # noqa: BLE001 - a team's code; what is wrong in itself is said when the training meets it
            return False
    return True


def _epoch(state: State, inputs: Tensor, labels: Tensor, run: Run, task: Task) -> dict[str, float]:
    recipe, module = run.recipe, state.module
    method = next((watch.method for watch in run.watches if watch.method is not None), run.method)
    bounds = _bounds(len(inputs), recipe.batch)
    total = recipe.epochs * len(bounds)
    shuffled = torch.randperm(len(inputs), generator=state.order).to(run.device)
    sums = np.zeros(2)
    for number, (start, stop) in enumerate(bounds):
        turn = state.epoch * len(bounds) + number
        state.set_rate(recipe.learning_rate * one_cycle(turn / total))
        rows = shuffled[start:stop]
        batch, target = inputs[rows], labels[rows]
        if recipe.augment == "shift":
            batch = shifted(batch, state.rng)
        strength = _strength(turn / total, run.warmup)
        with _precision(recipe, run.device):
            changed = method.perturb(module, batch, target, rng=state.rng, strength=strength, turn=turn)
        minimised = partial(method.loss, module, batch, changed, target, strength=strength, turn=turn)
        loss, scores = _step(state, minimised, run, radius=run.awp if strength == 1 else 0.0)
        right = int((scores.argmax(1) == target).sum())
        if not math.isfinite(loss):
            raise InvalidInput(_diverged(loss, state.epoch, number, recipe))
        sums += loss * len(rows), right
        task.update((turn + 1) / total, text=f"epoch {state.epoch + 1} of {recipe.epochs}, loss {loss:.3f}")
    mean = sums / bounds[-1][1]
    return {"epoch": state.epoch + 1.0, "loss": float(mean[0]), "accuracy": float(mean[1])}


def _step(
    state: State, minimised: Callable[[], tuple[Tensor, Tensor]], run: Run, *, radius: float
) -> tuple[float, Tensor]:
    """Take one step down the loss, where the weights have moved up it by `radius` before; return loss and scores."""
    state.module.train()

    def loss() -> tuple[Tensor, Tensor]:
        # A context of its own each time: autocast keeps low-precision copies of the weights while one is open, and
        # the weights may move between two losses.
        with _precision(run.recipe, run.device):
            return minimised()

    with awp.ascended(state.module, lambda: loss()[0], radius=radius) if radius else nullcontext():
        state.optimizer.zero_grad(set_to_none=True)
        value, scores = loss()
        value.backward()  # type: ignore[no-untyped-call]
    state.step()
    return float(value.detach()), scores.detach()


def one_cycle(done: float) -> float:
    """Return the share of the top learning rate at `done` in [0, 1]: a line up from a tenth, then half a cosine."""
    if done < RISE:
        return 0.1 + 0.9 * done / RISE
    return 0.5 * (1 + math.cos(math.pi * (done - RISE) / (1 - RISE))) + 1e-3


def shifted(x: Tensor, rng: torch.Generator) -> Tensor:
    """Move each picture (n, c, h, w) by up to a sixteenth of its side, at least a pixel; its edge fills the gap."""
    n, _, height, width = x.shape
    reach = max(1, max(height, width) // 16)
    moves = torch.randint(-reach, reach + 1, (2, n), generator=rng, device=x.device)
    rows = (torch.arange(height, device=x.device) + moves[0][:, None]).clamp(0, height - 1)
    columns = (torch.arange(width, device=x.device) + moves[1][:, None]).clamp(0, width - 1)
    each = torch.arange(n, device=x.device)[:, None, None]
    return x.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def bfloat16_pays(device: str) -> bool:
    """Whether bfloat16 is worth while without being asked for: where there are units for it, which processors have too."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    ask = getattr(torch.cpu, "get_capabilities", None)  # as of torch 2.10; what cannot be asked does not count
    able = ask() if device == "cpu" and ask else {}
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def _precision(recipe: Recipe, device: str) -> torch.autocast:
    on = recipe.precision == "bf16" or (recipe.precision == "auto" and bfloat16_pays(device))
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=on)


def _bounds(rows: int, batch: int) -> list[tuple[int, int]]:
    """Return the batches' first and last rows; a last batch of one row, which has no statistics, is left out."""
    bounds = [(start, min(start + batch, rows)) for start in range(0, rows, batch)]
    if len(bounds) > 1 and bounds[-1][1] - bounds[-1][0] == 1:
        bounds.pop()
    return bounds


def _strength(done: float, warmup: float) -> float:
    return 1.0 if done >= warmup else max(done / warmup, 1e-3)


def _diverged(loss: float, epoch: int, batch: int, recipe: Recipe) -> str:
    value = "NaN" if math.isnan(loss) else "infinite"
    return (
        f"the loss became {value} in epoch {epoch + 1}, batch {batch + 1}. Lower learning_rate (it is "
        f"{recipe.learning_rate:g}), or look for a division by zero or the logarithm of zero in the model."
    )
