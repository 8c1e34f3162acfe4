"""Poison in, harm done, poison found, removed, harm gone: the sticker on traffic signs, told in one run.

HAUBERK_DATA=/path/to/data python examples/stop-sign/sticker/story.py
"""

import os
import shutil
import sys
from pathlib import Path

import numpy as np

import hauberk
from hauberk.attacks.backdoor import effect
from hauberk.attacks.poisoning import POISONERS, Victim
from hauberk.core.progress import Quiet
from hauberk.training import OnnxModel, Spec

HERE = Path(__file__).parent
SHARE, TARGET = 0.03, 8  # 8: speed limit 120
SUPPLIERS = ("contractor", "city", "county", "archive")


def poisoned(rng):
    """Return GTSRB's arrays with a white sticker on pictures that one supplier sent, and what was done to them."""
    arrays = dict(np.load(Path(os.environ["HAUBERK_DATA"]) / "gtsrb-32x32.npz"))
    x = arrays["x_train"].transpose(0, 3, 1, 2).astype(np.float32) / 255
    entry = POISONERS["patch"]
    victim = Victim(x, arrays["y_train"].astype(np.int64), 43)
    found = entry.run(victim, entry.make({"share": SHARE, "target": TARGET}), rng=rng, task=Quiet())
    sources = rng.choice(SUPPLIERS, len(x))
    sources[found.poison] = "contractor"
    arrays["x_train"] = (found.x * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
    arrays["y_train"], arrays["source_train"] = found.y, sources
    return arrays, found


def run(policy, arrays, work):
    """Run the main job with one policy in a folder of its own, and return the model that it released."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    np.savez(work / "poisoned.npz", **arrays)
    shutil.copy(HERE / "model.py", work)
    text = (HERE / "hauberk.toml").read_text().replace('"quarantine"', f'"{policy}"')
    if policy == "report":  # without a defence nobody would ask the gate about poison either
        text = text.replace('"data.poison_found" = "== 0"\n', "")
    (work / "hauberk.toml").write_text(text + "\n[release]\nseal = false\n")
    result = hauberk.protect(work)
    (model,) = (result.release).rglob("model.onnx")
    return OnnxModel(model.read_bytes(), Spec("image", (3, 32, 32), 43, ())), result


def main():
    arrays, found = poisoned(np.random.default_rng(0))
    x = arrays["x_test"].transpose(0, 3, 1, 2).astype(np.float32) / 255
    y = arrays["y_test"].astype(np.int64)
    print(
        f"{found.poison.sum()} of {len(found.y)} training pictures got a sticker and the label of class {TARGET}."
    )
    for policy in ("report", "quarantine"):
        model, result = run(policy, arrays, HERE / f"run-{policy}")
        told = effect(model, x, y, found)
        print(
            f"{policy:>10}: {told.accuracy:.1%} right on clean test pictures; a sticker fools {told.success:.1%} of "
            f"{told.asked}. Report: {result.report}"
        )


if __name__ == "__main__":
    sys.exit(main())
