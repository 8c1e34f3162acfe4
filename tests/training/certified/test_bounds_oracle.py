"""Bounds against independent oracles: interval arithmetic in fractions, a linear program, and the exact minimum.

The oracles share no code with `bounds`: each layer is a matrix that is read off by unit vectors, intervals are computed
in exact rational numbers, and scipy's HiGHS solves the programs. Three relations are tested:

- The intervals are those of exact arithmetic, up to the rounding of float64.
- The linear bound is the optimum of the linear program with one line below and one line above each unstable ReLU
  (Salman et al. 2019, "A Convex Relaxation Barrier to Tight Robustness Verification of Neural Networks", theorem 4.2).
- It is at most the optimum with the triangle relaxation, which is at most the exact minimum over the box, found by
  mixed-integer programming (Tjeng, Xiao, Tedrake 2019, "Evaluating Robustness of Neural Networks with MIP").
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import lil_matrix
from torch import nn

from hauberk.attacks.budget import TOLERANCE, Ball
from hauberk.core.threats import Norm
from hauberk.models.torch_model import Encoded, TorchModel
from hauberk.training import Spec
from hauberk.training.certified import bounds

SHAPE = (1, 4, 4)


def dense():
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(16, 8),
        nn.ReLU(),
        nn.Linear(8, 8),
        nn.ReLU(),
        nn.Linear(8, 6),
        nn.ReLU(),
        nn.Linear(6, 3),
    )


def convolutional():
    norm = nn.BatchNorm2d(3)
    norm.running_mean.copy_(torch.tensor([0.2, -0.1, 0.0]))
    norm.running_var.copy_(torch.tensor([0.5, 1.5, 1.0]))
    norm.weight.data.copy_(torch.tensor([1.0, -2.0, 0.5]))
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, stride=2, padding=1), norm, nn.ReLU(), nn.AvgPool2d(2, stride=1, padding=1),
        nn.Conv2d(3, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip


NETS = {"dense": dense, "convolutional": convolutional}
EPS = {"dense": 0.08, "convolutional": 0.1}


@pytest.fixture(params=sorted(NETS))
def case(request):
    torch.manual_seed(7)
    module = NETS[request.param]().double().eval()
    x = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(2)).double()
    y = module(x).argmax(1)
    y[-1] = (y[-1] + 1) % 3  # one row whose label is wrong already
    return module, x, y, Ball(Norm.LINF, EPS[request.param])


def box(row, budget):
    """The pixels that the budget allows, with the tolerance of `Ball.allows`."""
    reach, flat = budget.eps + TOLERANCE, row.reshape(-1).numpy()
    return np.clip(flat - reach, 0, None), np.clip(flat + reach, None, 1)


def matrices(module):
    """Return (weight, offset, whether a ReLU follows) for each affine layer, read off by unit vectors."""
    parts, shape = [], SHAPE
    for layer in module:
        if isinstance(layer, nn.ReLU):
            parts[-1] = (*parts[-1][:2], True)
            continue
        with torch.no_grad():
            zero = layer(torch.zeros(1, *shape).double())
            unit = torch.eye(int(np.prod(shape))).double().reshape(-1, *shape)
            weight = (layer(unit) - zero).reshape(len(unit), -1).T.numpy()
        parts.append((weight, zero.reshape(-1).numpy(), False))
        shape = tuple(zero.shape[1:])
    return parts


def exact_intervals(parts, low, high):
    """Return, for each layer, the ends of its outputs before the ReLU, by sums of fractions: nothing is rounded."""
    lows, highs = [Fraction(float(v)) for v in low], [Fraction(float(v)) for v in high]
    ends = []
    for number, (weight, offset, _) in enumerate(parts):
        if number and parts[number - 1][2]:
            lows, highs = [max(v, Fraction(0)) for v in lows], [max(v, Fraction(0)) for v in highs]
        rows = [[Fraction(float(w)) for w in row] for row in weight]
        least = [
            sum((w * (a if w > 0 else b) for w, a, b in zip(row, lows, highs, strict=True)), Fraction(float(c)))
            for row, c in zip(rows, offset, strict=True)
        ]
        most = [
            sum((w * (b if w > 0 else a) for w, a, b in zip(row, lows, highs, strict=True)), Fraction(float(c)))
            for row, c in zip(rows, offset, strict=True)
        ]
        lows, highs = least, most
        ends.append((np.array([float(v) for v in lows]), np.array([float(v) for v in highs])))
    return ends


class Program:
    """Rows of a program over the inputs, the layers' outputs, and a binary variable for each output if wanted."""

    def __init__(self, parts, low, high, *, binary):
        sizes = [len(low), *(len(offset) for _, offset, _ in parts[:-1])]
        self.starts = [int(v) for v in np.concatenate([[0], np.cumsum(sizes)])]
        self.units = self.starts[-1]
        self.size = 2 * self.units if binary else self.units
        self.least, self.most = np.full(self.size, -np.inf), np.full(self.size, np.inf)
        self.least[: sizes[0]], self.most[: sizes[0]] = low, high
        self.least[self.units :], self.most[self.units :] = 0.0, 1.0
        self.rows = []

    def require(self, least, entries, most=np.inf):
        self.rows.append((least, entries, most))

    def minimum(self, cost):
        matrix = lil_matrix((len(self.rows), self.size))
        for number, (_, entries, _) in enumerate(self.rows):
            for column, value in entries.items():
                matrix[number, column] = value
        floor, ceiling = ([row[i] for row in self.rows] for i in (0, 2))
        whole = np.concatenate([np.zeros(self.units), np.ones(self.size - self.units)])
        solved = milp(
            cost,
            constraints=LinearConstraint(matrix.tocsr(), floor, ceiling),
            integrality=whole,
            bounds=Bounds(self.least, self.most),
            options={"mip_rel_gap": 0.0},
        )
        assert solved.status == 0, solved.message
        return float(solved.fun)


def least_margin(parts, ends, low, high, aim, *, relu):
    """Return the least aim @ scores over the box, by a program in which `relu` selects the constraints for a ReLU.

    relu: "one line" below and above, as `bounds` chooses them; "triangle", their convex hull; or "exact", with a binary
    variable for each unit that can be on either side.
    """
    program = Program(parts, low, high, binary=relu == "exact")
    for number, (weight, offset, active) in enumerate(parts[:-1]):
        for unit, constant in enumerate(offset):
            inputs = {program.starts[number] + i: -float(w) for i, w in enumerate(weight[unit])}
            out = program.starts[number + 1] + unit
            between = (ends[number][0][unit], ends[number][1][unit])
            add_unit(program, {out: 1.0, **inputs}, float(constant), between, active and relu)
    weight, offset, _ = parts[-1]
    cost = np.zeros(program.size)
    cost[program.starts[-2] : program.units] = aim @ weight
    return program.minimum(cost) + float(aim @ offset)


def add_unit(program, same, c, between, relu):
    """Add one output y. same: the entries of y - W x, y first; between: the ends of W x + c; relu: see above."""
    (out, _), *inputs = same.items()
    lo, hi = between
    if not relu or lo >= 0:
        program.require(c, same, c)
    elif hi <= 0:
        program.require(0.0, {out: 1.0}, 0.0)
    elif relu == "exact":
        program.require(0.0, {out: 1.0})
        program.require(c, same)
        program.require(-np.inf, {**same, program.units + out: -lo}, c - lo)  # on: y <= W x + c
        program.require(-np.inf, {out: 1.0, program.units + out: -hi}, 0.0)  # off: y <= 0
    else:
        chord = hi / (hi - lo)
        program.require(-np.inf, {out: 1.0, **{i: chord * w for i, w in inputs}}, chord * (c - lo))
        if relu == "triangle" or hi > -lo:
            program.require(c, same)
        if relu == "triangle" or hi <= -lo:
            program.require(0.0, {out: 1.0})


def aims(label):
    for other in set(range(3)) - {label}:
        aim = np.zeros(3)
        aim[label], aim[other] = 1.0, -1.0
        yield other, aim


def test_intervals_are_those_of_exact_arithmetic(case):
    module, x, _, budget = case
    parts = matrices(module)
    reached = bounds.intervals(module, bounds.box_of(x, budget, module).inputs)
    for row in range(len(x)):
        low, high = exact_intervals(parts, *box(x[row], budget))[-1]
        np.testing.assert_allclose(reached.low[row].detach().numpy(), low, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(reached.high[row].detach().numpy(), high, rtol=1e-9, atol=1e-11)


def test_margins_are_the_optimum_of_the_linear_program_and_below_triangle_and_exact_minimum(case):
    module, x, y, budget = case
    parts, proven = matrices(module), bounds.margins(module, x, y, budget).numpy()
    by_lines, gained = 0, []
    for row in range(len(x)):
        low, high = box(x[row], budget)
        ends = exact_intervals(parts, low, high)
        for other, aim in aims(int(y[row])):
            given = {
                way: least_margin(parts, ends, low, high, aim, relu=way)
                for way in ("one line", "triangle", "exact")
            }
            by_interval = ends[-1][0][int(y[row])] - ends[-1][1][other]
            assert proven[row, other] == pytest.approx(max(given["one line"], by_interval), rel=1e-6, abs=1e-6)
            assert given["one line"] <= given["triangle"] + 1e-6
            assert given["triangle"] <= given["exact"] + 1e-6
            assert proven[row, other] <= given["exact"] + 1e-6
            by_lines += given["one line"] > by_interval + 1e-3
            gained.append(given["exact"] - proven[row, other])
    assert by_lines >= 6  # of eight: the lines decide, and not the intervals
    assert max(gained) > 1e-3  # and the relaxations do not coincide


def test_certified_rows_have_a_positive_exact_minimum_and_some_rows_are_certified(case):
    module, x, y, _ = case
    model = TorchModel(Encoded(None, module.float()), Spec("image", SHAPE, 3), "cpu")
    parts, certified = matrices(module.double()), []
    model.module.float()
    for eps in (0.005, 0.02, 0.05):
        budget = Ball(Norm.LINF, eps)
        proven = bounds.certified(model, x.numpy().astype(np.float32), y.numpy(), budget)
        certified.append(proven.sum())
        for row in np.flatnonzero(proven):
            low, high = box(x[row], budget)
            ends = exact_intervals(parts, low, high)
            for _, aim in aims(int(y[row])):
                assert least_margin(parts, ends, low, high, aim, relu="exact") > 0
    assert certified[0] > 0
    assert not proven[-1]  # the label is wrong without any change
