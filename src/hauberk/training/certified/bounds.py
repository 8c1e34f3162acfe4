"""Bounds: proven bounds of a network's scores over all inputs that a budget allows.

Two bounds are computed, and the tighter one is used. Intervals are propagated forwards through every layer (Gowal et
al. 2018, "On the Effectiveness of Interval Bound Propagation for Training Verifiably Robust Models", section 3). Then the
margin between two classes is expressed as a linear function, backwards from the scores to the input, with every ReLU
replaced by lines that enclose it on its interval (Zhang et al. 2018, "Efficient Neural Network Robustness Certification
with General Activation Functions", CROWN, with intervals for the inner layers as in CROWN-IBP, Zhang et al. 2020).

torch.fx reads the module as a graph, so residual sums are supported, and control flow that depends on values is refused.
The bounds are meant for small networks: for wide or deep networks that were not trained for it (method `ibp`), they
certify little. Imports torch when it is imported.
"""

from __future__ import annotations

import copy
import operator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.nn import functional

from hauberk.attacks.budget import TOLERANCE, Ball, Budget, ColumnBox
from hauberk.core.columns import ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Norm
from hauberk.models.port import Floats, Labels
from hauberk.models.torch_model import Encoded, Encoder, TorchModel
from hauberk.training.certified.layers import KNOWN, Interval, is_affine, is_sum, passed

# The proof is about real arithmetic. The served model rounds in float32, so a margin must exceed this share of the scores.
_ROUNDING = 1e-4
_BATCH = 256


@dataclass(frozen=True, slots=True)
class Box:
    """The inputs a budget allows, one row for each origin: an interval, and an L2 ball of `radius` unless it is None."""

    inputs: Interval
    origin: Tensor
    radius: float | None = None


class _Tracer(fx.Tracer):
    """Does not trace into layers that have a rule, among them Hauberk's own."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in KNOWN or super().is_leaf_module(m, module_qualified_name)


_GRAPHS: WeakKeyDictionary[nn.Module, dict[bool, fx.Graph]] = WeakKeyDictionary()


def box_of(x: Tensor, budget: Budget, module: nn.Module) -> Box:
    """Return the inputs that `budget` allows around x, as the module behind a table's encoder receives them.

    Includes the tolerance of `budget.allows`. For a table, costs are ignored (so the box contains more than the budget
    allows), and a category that may change may take any value, or several at once.
    """
    if isinstance(budget, Ball):
        reach = budget.eps + TOLERANCE
        low, high = (x - reach).clip(budget.low, None), (x + reach).clip(None, budget.high)
        low, high = torch.minimum(low, x), torch.maximum(high, x)
        return Box(Interval(low, high), x, reach if budget.norm is Norm.L2 else None)
    assert isinstance(budget, ColumnBox)
    encoder = module.encoder if isinstance(module, Encoded) else None
    assert isinstance(encoder, Encoder)
    low, high = budget.bounds(x)
    slack = TOLERANCE * x.abs().clamp(min=1.0) * (low != high)
    low, high = encoder(low - slack), encoder(high + slack)
    free = [i for i, column, _ in budget.movable if column.kind is ColumnKind.CATEGORY]
    loose = torch.isin(encoder.sources, torch.tensor(free, device=x.device))
    flags = torch.cat([torch.zeros(len(encoder.numbers), dtype=torch.bool, device=x.device), loose])
    return Box(Interval(low.masked_fill(flags, 0.0), high.masked_fill(flags, 1.0)), encoder(x))


def intervals(module: nn.Module, inputs: Interval) -> Interval:
    """Return an interval (n, classes) that contains the scores of every input in `inputs`; differentiable.

    Batch norm uses its running statistics, and dropout is the identity. Raises InvalidInput for a layer without a rule.
    """
    inner = _inner(module)
    graph = _graph(inner)
    reached = _reached(inner, graph, inputs)
    (output,) = (node for node in graph.nodes if node.op == "output")
    scores = reached[output]
    assert isinstance(scores, Interval)
    return scores


def worst_scores(scores: Interval, y: Tensor) -> Tensor:
    """Return (n, classes): the lowest score of each row's own class, and the highest score of every other class."""
    own = functional.one_hot(y, scores.low.shape[1]).bool()
    return torch.where(own, scores.low, scores.high)


def margins(module: nn.Module, x: Tensor, y: Tensor, budget: Budget) -> Tensor:
    """Return (n, classes): proven lower bounds of score[y] - score[k] over the budget, in logits; 0 at k = y.

    Evaluation mode. Cost: two forward passes, and two passes for each class. Raises InvalidInput as `intervals`.
    """
    box = box_of(x, budget, module)
    inner = _inner(module)
    graph = _graph(inner)
    with torch.no_grad():
        reached = _reached(inner, graph, box.inputs)
        (output,) = (node for node in graph.nodes if node.op == "output")
        scores = reached[output]
        own = torch.arange(len(x), device=x.device), y
        by_interval = scores.low[own][:, None] - scores.high
    bounds = []
    for other in range(scores.low.shape[1]):
        margin = torch.zeros_like(scores.low)
        margin[own] += 1.0
        margin[:, other] -= 1.0
        bounds.append(_backwards(inner, graph, reached, margin, box))
    best = torch.maximum(torch.stack(bounds, 1), by_interval)
    best[own] = 0.0
    return best


def certified(model: TorchModel, x: Floats, y: Labels, budget: Budget) -> NDArray[np.bool_]:
    """Return (n,) bool: True if the model provably predicts y[i] for every input that the budget allows around row i.

    Computed in float64; margins within the rounding of float32 do not count. Answers: every attacker within the
    budget, known or unknown. Does not answer: attackers who exceed it. False does not mean that an attack exists.
    """
    module = copy.deepcopy(model.module).double().eval()
    verdicts = [np.zeros(0, dtype=np.bool_)]
    for start in range(0, len(x), _BATCH):
        rows = torch.from_numpy(x[start : start + _BATCH]).to(model.device).double()
        labels = torch.from_numpy(y[start : start + _BATCH]).to(model.device)
        proven = margins(module, rows, labels, budget)
        with torch.no_grad():
            size = module(rows).abs().amax(1, keepdim=True).clamp(min=1.0)
        proven[torch.arange(len(rows)), labels] = torch.inf
        verdicts.append((proven > _ROUNDING * size).all(1).cpu().numpy())
    return np.concatenate(verdicts)


def _inner(module: nn.Module) -> nn.Module:
    """Return the part of the module behind the encoder of a table; pictures have no encoder."""
    return module.inner if isinstance(module, Encoded) and isinstance(module.encoder, Encoder) else module


def _graph(module: nn.Module) -> fx.Graph:
    known = _GRAPHS.setdefault(module, {})
    if module.training not in known:  # a team's forward may differ between the two
        try:
            known[module.training] = _Tracer().trace(module)
        except Exception as error:  # the errors of torch.fx and of the team's code have no common base class
            raise InvalidInput(
                f"bounds need a model whose control flow does not depend on values; this model cannot be traced: {error}"
            ) from error
    return known[module.training]


def _reached(module: nn.Module, graph: fx.Graph, inputs: Interval) -> dict[fx.Node, Any]:
    """Return the interval, or the constant, of each node of the graph."""
    reached: dict[fx.Node, Any] = {}
    for node in graph.nodes:
        if node.op == "placeholder":
            reached[node] = inputs
        elif node.op == "get_attr":
            reached[node] = operator.attrgetter(node.target)(module)
        elif node.op == "output":
            reached[node] = reached[node.args[0]]
        else:
            reached[node] = passed(_called(module, node), *_arguments(node, reached))
    return reached


def _called(module: nn.Module, node: fx.Node) -> Any:  # noqa: ANN401 - a layer, a function, or a method's name
    if node.op == "call_module":
        return module.get_submodule(str(node.target))
    return operator.add if node.target is operator.iadd else node.target  # intervals are never changed in place


def _arguments(node: fx.Node, reached: dict[fx.Node, Any]) -> tuple[Any, Any]:
    return fx.map_arg(node.args, reached.__getitem__), fx.map_arg(node.kwargs, reached.__getitem__)


def _backwards(module: nn.Module, graph: fx.Graph, reached: dict[fx.Node, Any], aim: Tensor, box: Box) -> Tensor:
    """Return (n,): a lower bound of the sum of aim (n, classes) * scores, over the box."""
    weights: dict[fx.Node, Tensor] = {}
    bound = aim.new_zeros(len(aim))

    def add(node: fx.Node, weight: Tensor) -> None:
        weights[node] = weights[node] + weight if node in weights else weight

    for node in reversed(graph.nodes):
        if node.op == "output":
            add(node.args[0], aim)
        if node not in weights:
            continue
        weight = weights.pop(node)
        if node.op == "placeholder":
            bound = bound + _least(weight, box)
            continue
        called = _called(module, node)
        sources = [each for each in node.all_input_nodes if isinstance(reached[each], Interval)]
        if is_sum(called) and len(sources) == 2:
            add(sources[0], weight)
            add(sources[1], weight)
        elif len(sources) == 1 and is_affine(called):
            passed_on, constant = _through(called, node, sources[0], reached, weight)
            add(sources[0], passed_on)
            bound = bound + constant
        elif len(sources) == 1 and (isinstance(called, nn.ReLU) or called in (torch.relu, functional.relu, "relu")):
            passed_on, constant = _through_relu(reached[sources[0]], weight)
            add(sources[0], passed_on)
            bound = bound + constant
        else:  # there is no linear bound for it: use its interval, and stop here
            bound = bound + _lowest(weight, reached[node])
    return bound


def _through(
    called: Any,  # noqa: ANN401 - as `_called`
    node: fx.Node,
    source: fx.Node,
    reached: dict[fx.Node, Any],
    weight: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the weights on an affine layer's input, and the constant, both from one backward pass at zero."""
    values = {**reached, source: torch.zeros_like(reached[source].low).requires_grad_()}
    with torch.enable_grad():
        args, kwargs = _arguments(node, values)
        made = _apply(called, args, kwargs)
        (passed_on,) = torch.autograd.grad(made, values[source], weight.reshape(made.shape))
    return passed_on, _rows(weight.reshape(made.shape) * made.detach())


def _apply(called: Any, args: Any, kwargs: Any) -> Tensor:  # noqa: ANN401 - as `_called`
    made: Tensor = (
        getattr(args[0], called)(*args[1:], **kwargs) if isinstance(called, str) else called(*args, **kwargs)
    )
    return made


def _through_relu(inputs: Interval, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights and constant for a ReLU: the chord above it; below it y = x if that is closer, else y = 0."""
    low, high = inputs.low.clamp(max=0), inputs.high.clamp(min=0)
    chord = high / (high - low).clamp(min=1e-30)
    below = (inputs.high > -inputs.low).to(weight.dtype)
    up, down = weight.clamp(min=0), weight.clamp(max=0)
    return up * below + down * chord, -_rows(down * chord * low)


def _lowest(weight: Tensor, values: Interval) -> Tensor:
    """Return (n,): the minimum of the sum of weight * value over an interval."""
    weight = weight.reshape(values.low.shape)
    return _rows(weight.clamp(min=0) * values.low + weight.clamp(max=0) * values.high)


def _least(weight: Tensor, box: Box) -> Tensor:
    """Return (n,): the minimum over the box; for an L2 ball, the larger of the minima over ball and interval."""
    lowest = _lowest(weight, box.inputs)
    if box.radius is None:
        return lowest
    length = weight.reshape(len(weight), -1).norm(dim=1)
    return torch.maximum(lowest, _rows(weight * box.origin) - box.radius * length)


def _rows(values: Tensor) -> Tensor:
    return values.reshape(len(values), -1).sum(1)
