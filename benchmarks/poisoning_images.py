"""Poison in pictures: recall at 0.5 % of honest rows, of ours, of peers, and of a supervised classifier.

    HAUBERK_DATA=... python benchmarks/poisoning_images.py [--seeds 3] [--only fashion:patch:0.05] [--peers] [--json FILE]

Every case is run with the defaults of `hauberk.data.screen`. Peers are run on the first seed of each case; a peer that is not
installed is left out. "Supervised" is our small network, trained on the true poison labels of two thirds of the rows and
applied to the rest: a reference, not a bound.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import os
import statistics
import time
import warnings
from pathlib import Path

import numpy as np

FALSE = 0.005
ART_MODES = [
    ("PCA", "smaller"),
    ("PCA", "relative-size"),
    ("PCA", "distance"),
    ("PCA", "silhouette-scores"),
    ("FastICA", "smaller"),
]
CASES = [
    ("fashion", "patch", 0.01),
    ("fashion", "patch", 0.05),
    ("fashion", "blend", 0.05),
    ("fashion", "warp", 0.05),
    ("fashion", "sinusoid", 0.05),
    ("fashion", "all-to-all", 0.10),
    ("gtsrb", "patch", 0.01),
    ("gtsrb", "patch", 0.05),
    ("gtsrb", "sinusoid", 0.05),
    ("gtsrb", "all-to-all", 0.10),
    ("gtsrb", "blend", 0.05),
    ("gtsrb", "warp", 0.05),
    ("fashion", "symmetric-flips", 0.10),
    ("gtsrb", "symmetric-flips", 0.10),
    ("fashion", "pair-flips", 0.10),
    ("gtsrb", "pair-flips", 0.10),
    ("fashion", "clean", 0.0),
    ("gtsrb", "clean", 0.0),
    ("mnist", "clean", 0.0),
    ("mnist", "patch", 0.03),
    ("mnist", "clean-label-patch", 0.04),
]


def idx(name):
    data = gzip.decompress((Path(os.environ["HAUBERK_DATA"]) / name).read_bytes())
    shape = [int.from_bytes(data[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(data[3])]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def read(name):
    if name == "gtsrb":
        arrays = np.load(Path(os.environ["HAUBERK_DATA"]) / "gtsrb-32x32.npz")
        return (arrays["x_train"].transpose(0, 3, 1, 2) / 255).astype(np.float32), arrays["y_train"].astype(
            np.int64
        )
    stem = {"fashion": "fashion-train30k", "mnist": "mnist-test"}[name]
    x, y = idx(f"{stem}-images-idx3-ubyte.gz")[:10_000], idx(f"{stem}-labels-idx1-ubyte.gz")[:10_000]
    return (x[:, None] / 255).astype(np.float32), y.astype(np.int64)


def poisoned(name, attack, share, seed):
    from hauberk.attacks.poisoning import POISONERS, Victim
    from hauberk.core.progress import Quiet

    x, y = read(name)
    if attack == "clean":
        return x, y, np.zeros(len(y), bool)
    entry = POISONERS[attack]
    found = entry.run(
        Victim(x, y, int(y.max()) + 1), entry.make({"share": share}), rng=np.random.default_rng(seed), task=Quiet()
    )
    return found.x, found.y, found.poison


def recall(scores, poison):
    """Return the share of the poison that scores above the threshold which 0.5 % of the honest rows exceed."""
    honest = np.sort(scores[~poison])
    return float((scores[poison] > honest[-int(np.ceil(FALSE * len(honest)))]).mean())


def auroc(scores, poison):
    from scipy.stats import rankdata

    ranks, count = rankdata(scores), int(poison.sum())
    return float((ranks[poison].sum() - count * (count + 1) / 2) / (count * (len(poison) - count)))


def known(x, poison):
    from hauberk.core.progress import Quiet
    from hauberk.data.poison.detectors._views import sharp

    return sharp(x, poison.astype(np.int64), 2, seed=0, task=Quiet())[:, 1]


def peers(x, y, probabilities):
    """Yield (name, scores) for each installed peer, on the same rows and, if it needs them, our out-of-fold probabilities."""
    if importlib.util.find_spec("cleanlab"):
        from cleanlab.rank import get_label_quality_scores

        for method in ("self_confidence", "normalized_margin"):
            yield f"cleanlab {method}", -get_label_quality_scores(y, probabilities, method=method)
    if importlib.util.find_spec("pyod"):
        from pyod.models.ecod import ECOD
        from sklearn.decomposition import PCA

        flat = PCA(50, random_state=0).fit_transform(x.reshape(len(x), -1))
        yield "pyod ECOD on components", ECOD().fit(flat).decision_scores_
    if importlib.util.find_spec("art"):
        yield from art_peers(x, y)


def art_peers(x, y):
    import torch
    from art.defences.detector.poison import ActivationDefence, SpectralSignatureDefense
    from art.estimators.classification import PyTorchClassifier

    from hauberk.data.poison.detectors import _nets

    classes = int(y.max()) + 1
    net = _nets.learn(
        _nets.tensor(x),
        torch.from_numpy(y),
        classes=classes,
        batches=_nets.shuffled(np.arange(len(y)), 128),
        steps=max(400, 5 * len(y) // 128),
        seed=0,
        widths=(16, 32, 64),
    )
    model = PyTorchClassifier(net, torch.nn.CrossEntropyLoss(), x.shape[1:], classes, clip_values=(0, 1))
    onehot = np.eye(classes)[y]
    spectral = SpectralSignatureDefense(model, x, onehot, expected_pp_poison=0.05, batch_size=256, eps_multiplier=1)
    report, clean = spectral.detect_poison()
    scores = np.zeros(len(y))
    scores[[int(row) for row in report]] = list(report.values())
    yield "ART spectral signatures", scores if scores.any() else 1.0 - np.asarray(clean)
    clusters = ActivationDefence(model, x, onehot)
    for reduce, analysis in ART_MODES:
        try:
            _, clean = clusters.detect_poison(nb_clusters=2, nb_dims=10, reduce=reduce, cluster_analysis=analysis)
        except ValueError:  # ART 1.20 raises ValueError if its analysis finds no suspicious cluster
            continue
        yield f"ART activation clustering, {reduce}, {analysis}", 1.0 - np.asarray(clean, float)


def case(name, attack, share, seed, *, with_peers):
    from hauberk.data.poison.detectors import Rows
    from hauberk.data.poison.screening import screen_rows
    from hauberk.data.reading.dataset import Dataset

    x, y, poison = poisoned(name, attack, share, seed)
    classes = tuple(str(label) for label in range(int(y.max()) + 1))
    rows = Rows("image", Dataset("image", x, y, classes, (), np.arange(len(y))), None, (), seed)
    started, spent = time.monotonic(), time.process_time()
    found = screen_rows(rows)
    row = {
        "case": f"{name} {attack} {share:.0%}",
        "seed": seed,
        "seconds": time.monotonic() - started,
        "cpu_seconds": time.process_time() - spent,
        "flagged_honest": float(found.flags[~poison].mean()),
        "found": found.found,
        "peers": {},
    }
    if poison.any():
        row |= {
            "recall": recall(found.scores, poison),
            "auroc": auroc(found.scores, poison),
            "flagged_poison": float(found.flags[poison].mean()),
        }
    if with_peers:
        row["known"] = recall(known(x, poison), poison) if poison.any() else None
        for peer, scores in peers(x, y, rows.probabilities):
            row["peers"][peer] = recall(scores, poison) if poison.any() else None
    return row


def table(rows):
    lines = [
        "| case | recall at 0.5 % | AUROC | honest rows flagged | best peer | supervised | seeds | CPU seconds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in dict.fromkeys(row["case"] for row in rows):
        own = [row for row in rows if row["case"] == name]

        def middle(key, own=own, form=".3f"):
            values = [row[key] for row in own if row.get(key) is not None]
            return format(statistics.median(values), form) if values else "-"

        scores = {peer: value for row in own for peer, value in row["peers"].items() if value is not None}
        best = max(scores, key=scores.get, default=None)
        shown = "-" if best is None else f"{scores[best]:.2f} ({best})"
        lines.append(
            f"| {name} | {middle('recall')} | {middle('auroc')} | {middle('flagged_honest', form='.2%')} | {shown} "
            f"| {middle('known')} | {len(own)} | {middle('cpu_seconds', form='.0f')} |"
        )
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for seed in range(options.seeds):
        for name, attack, share in CASES:
            if options.only and f"{name}:{attack}:{share:g}" not in options.only:
                continue
            rows.append(case(name, attack, share, seed, with_peers=options.peers and seed == 0))
            print(json.dumps(rows[-1]), flush=True)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=1))
    print(table(rows))


if __name__ == "__main__":
    main()
