"""Black-box attacks: HopSkipJump beside ART's at equal queries, and each attack on tables.

    HAUBERK_DATA=... python benchmarks/attacks_blackbox.py [--only pictures|claims|adult] [--rows N] [--rounds N]

pictures: Fashion-MNIST, the plain and the robust network of benchmarks/attacks.py (trained once, stored in the temporary
folder). ART runs first and its queries are counted; ours gets the same number for each row. `cpu` is processor time of the
fastest round, `L2` the median distance of fooled rows, computed here from the returned inputs only; `failed` counts rows
that were not fooled. Without ART, ours runs alone with 5,000 queries for each row.

claims, adult: vehicle claims (boosted trees; an adversary wants a fraudulent claim paid) and Adult (a small network), on
rows that are classified correctly; each attack alone on the same rows. The box's independent check, relations included, ends
the run if a row is invalid. `fooled` is the share of rows, `cost` the median cost of fooling rows.
"""

from __future__ import annotations

import argparse
import math
import os
import time
import warnings
from pathlib import Path

import numpy as np

from hauberk.attacks import evasion
from hauberk.attacks.attack import attack
from hauberk.attacks.budget import ColumnBox
from hauberk.attacks.evasion import ATTACKS
from hauberk.core.columns import ColumnKind
from hauberk.core.threats import ColumnBudget, Direction
from hauberk.models.adapting import as_model


def pictures(rows: int, rounds: int) -> None:
    import attacks as white_box  # the networks and the data are the same

    x, y = white_box.fashion("test")
    x, y = x[:rows], y[:rows]
    print(f"HopSkipJump, L2 and L-inf, n={rows}")
    print(f"{'network':8} {'norm':5} {'':8} {'cpu':>7} {'ratio':>6} {'queries':>8} {'median':>8} {'failed':>6}")
    for kind in ("plain", "robust"):
        net = white_box.trained(kind)
        for norm in ("l2", "linf"):
            theirs = _art(net, x, y, norm, rounds)
            queries = round(theirs["queries"]) if theirs else 5000
            ours = _ours(net, x, y, norm, queries=queries, rounds=rounds)
            for name, told in (("ART", theirs), ("hauberk", ours)):
                if told:
                    ratio = theirs["cpu"] / told["cpu"] if theirs else 1.0
                    print(
                        f"{kind:8} {norm:5} {name:8} {told['cpu']:7.2f} {ratio:6.2f} {told['queries']:8.0f} "
                        f"{told['median']:8.4f} {told['failed']:6d}"
                    )


def _ours(net, x, y, norm, *, queries, rounds):
    best, found = math.inf, None
    for _ in range(rounds):
        started = time.process_time()
        found = evasion.hop_skip_jump(as_model(net, classes=10), x, y, norm=norm, queries=queries)
        best = min(best, time.process_time() - started)
    return _judged(net, x, y, found.x, norm) | {
        "cpu": best,
        "queries": float(found.verdicts.queries[found.verdicts.right].mean()),
    }


def _art(net, x, y, norm, rounds):
    try:
        import torch
        from art.attacks.evasion import HopSkipJump
        from art.estimators.classification import BlackBoxClassifier
    except ImportError as error:
        print(f"ART is not here: {error}")
        return None
    asked = 0

    def predict(batch):
        nonlocal asked
        asked += len(batch)
        with torch.no_grad():
            return net(torch.from_numpy(batch.astype(np.float32))).numpy()

    model = BlackBoxClassifier(predict, (1, 28, 28), 10, clip_values=(0.0, 1.0))
    best, moved = math.inf, x
    right = _labels(net, x) == y
    for _ in range(rounds):
        asked = 0
        np.random.seed(0)  # noqa: NPY002 - ART draws from the global state
        started = time.process_time()
        try:
            moved = HopSkipJump(
                model, norm=2 if norm == "l2" else np.inf, max_iter=10, max_eval=1000, init_eval=100, verbose=False
            ).generate(x[right], y[right])
        except Exception as error:  # noqa: BLE001 - its batches are known to be aborted
            print(f"ART failed: {type(error).__name__}: {error}")
            return None
        best = min(best, time.process_time() - started)
    whole = x.copy()
    whole[right] = moved
    return _judged(net, x, y, whole, norm) | {"cpu": best, "queries": asked / right.sum()}


def _labels(net, x):
    import torch

    with torch.no_grad():
        return net(torch.from_numpy(x)).argmax(1).numpy()


def _judged(net, x, y, moved, norm):
    right, fooled = _labels(net, x) == y, _labels(net, moved.astype(np.float32)) != y
    delta = (moved - x).reshape(len(x), -1).astype(np.float64)
    size = np.sqrt((delta**2).sum(1)) if norm == "l2" else np.abs(delta).max(1)
    return {"median": float(np.median(size[right & fooled])), "failed": int((right & ~fooled).sum())}


def frame(name, target, drop=()):
    """Return rows as codes and numbers, their columns, and labels, as the data room reads them."""
    from hauberk.data.reading.loading import DataSpec, load

    file = str(Path(os.environ["HAUBERK_DATA"]) / name)
    return load(DataSpec("table", (file,), target=target, drop=drop), seed=0)


def claims(rows: int) -> None:
    """Which claims could a fraudster change? What can be said otherwise on the form, at a price in risk."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    split = frame("vehicle-claim-fraud.parquet", "FraudFound_P", ("PolicyNumber",))
    columns = split.train.columns
    budgets = (
        ColumnBudget("PoliceReportFiled", cost=3),
        ColumnBudget("WitnessPresent", cost=3),
        ColumnBudget("AddressChange_Claim", cost=2),
        ColumnBudget("AccidentArea", cost=1),
        ColumnBudget("DayOfWeekClaimed", cost=0.5),
        ColumnBudget("MonthClaimed", cost=0.5),
        ColumnBudget("WeekOfMonthClaimed", by=2, cost=0.5),
        ColumnBudget("NumberOfSuppliments", cost=1),
        ColumnBudget("Days_Policy_Claim", cost=2),
        ColumnBudget("Deductible", by=100, direction=Direction.UP, cost=0.02),
    )
    # Both hold in every row of the set: a claim without a day has no month either.
    relations = (
        'DayOfWeekClaimed = "0" => MonthClaimed = "0"',
        'MonthClaimed = "0" => DayOfWeekClaimed = "0"',
    )
    box = ColumnBox(columns, budgets, 2.0, relations)
    model = HistGradientBoostingClassifier(class_weight="balanced", random_state=0, max_iter=60)
    model.fit(split.train.x, split.train.y)
    fraud = np.flatnonzero((split.test.y == 1) & (model.predict(split.test.x) == 1))[:rows]
    print(f"claims: {len(fraud)} fraudulent test claims that the trees catch; cost 2, {len(relations)} relations")
    _compare(model, split.test.x[fraud], split.test.y[fraud], box, ("coordinate-search", "evolutionary"))


def adult(rows: int) -> None:
    import torch

    split = frame("adult.parquet", "income", ("fnlwgt", "education"))
    columns = split.train.columns
    budgets = (
        ColumnBudget("hours_per_week", by=10, direction=Direction.UP, cost=0.1),
        ColumnBudget("capital_gain", by=4000, direction=Direction.UP, cost=0.0005),
        ColumnBudget("capital_loss", by=500, direction=Direction.DOWN, cost=0.002),
        ColumnBudget("education_num", by=1, direction=Direction.UP, cost=2),
        ColumnBudget("workclass", cost=1),
        ColumnBudget("occupation", cost=1.5),
    )
    box = ColumnBox(columns, budgets, 3.0, ('occupation = "Exec-managerial" => hours_per_week >= 35',))
    torch.manual_seed(0)
    codes = [(i, len(c.categories)) for i, c in enumerate(columns) if c.kind is ColumnKind.CATEGORY]
    numbers = [i for i, c in enumerate(columns) if c.kind is not ColumnKind.CATEGORY]
    x, y = torch.from_numpy(split.train.x), torch.from_numpy(split.train.y)
    mean, scale = x[:, numbers].mean(0), x[:, numbers].std(0) + 1e-6

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            width = len(numbers) + sum(n for _, n in codes)
            self.inner = torch.nn.Sequential(
                torch.nn.Linear(width, 64),
                torch.nn.ReLU(),
                torch.nn.Linear(64, 64),
                torch.nn.ReLU(),
                torch.nn.Linear(64, 2),
            )

        def forward(self, x):
            flags = [torch.nn.functional.one_hot(x[:, i].round().long(), n).float() for i, n in codes]
            return self.inner(torch.cat([(x[:, numbers] - mean) / scale, *flags], 1))

    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(4):
        for part in torch.randperm(len(x)).split(256):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x[part]), y[part]).backward()
            optimizer.step()
    model = as_model(net.eval(), classes=2)
    right = np.flatnonzero((model.scores(split.test.x).argmax(1) == split.test.y) & (split.test.y == 0))[:rows]
    print(f"adult: {len(right)} applicants who are rightly refused; cost 3, one relation")
    _compare(
        model, split.test.x[right], split.test.y[right], box, ("pgd", "coordinate-search", "evolutionary", "capgd")
    )


def _compare(model, x, y, box, names) -> None:
    print(f"{'attack':18} {'fooled':>7} {'cost':>6} {'asked':>7} {'cpu':>7}")
    for name in names:
        entry = ATTACKS[name]
        started = time.process_time()
        found = attack(entry.run, model, x, y, box, entry.make({}), rng=np.random.default_rng(0))
        seconds = time.process_time() - started
        fooled, verdicts = found.verdicts.fooled, found.verdicts
        if not verdicts.allowed.all():
            raise SystemExit(f"{name} returned rows that are not valid")
        cost = np.median(verdicts.distance[fooled]) if fooled.any() else math.nan
        asked = (verdicts.queries + verdicts.gradients).mean()
        print(f"{name:18} {fooled.mean():7.1%} {cost:6.2f} {asked:7.0f} {seconds:7.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["pictures", "claims", "adult"])
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.only in (None, "pictures"):
        pictures(options.rows or 20, options.rounds)
    if options.only in (None, "claims"):
        claims(options.rows or 200)
    if options.only in (None, "adult"):
        adult(options.rows or 200)


if __name__ == "__main__":
    main()
