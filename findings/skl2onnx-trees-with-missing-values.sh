#!/usr/bin/env bash
# A tree that was fitted on missing values converts to ONNX without an error and predicts otherwise.
# Seen with: scikit-learn 1.9.1, skl2onnx 1.20.0, onnx 1.23.2, onnxruntime 1.32.0, Python 3.11.
set -euo pipefail
place=$(mktemp -d); trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check scikit-learn==1.9.1 skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 scipy==1.17.1
"$place/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

# Guess before the run: the converter refuses, or keeps the side to which each node sends a missing value.
rng = np.random.default_rng(0)
x = rng.normal(size=(2000, 4)).astype(np.float32)
missing = rng.random(x.shape) < 0.2
y = np.where(missing[:, 0], 1, x[:, 0] + x[:, 1] > 0).astype(int)
x[missing] = np.nan
whole = ~missing.any(axis=1)
for model in (DecisionTreeClassifier(max_depth=6, random_state=0), RandomForestClassifier(20, random_state=0)):
    model.fit(x, y)
    session = onnxruntime.InferenceSession(to_onnx(model, x[:1], options={"zipmap": False}).SerializeToString())
    labels, shares = session.run(None, {session.get_inputs()[0].name: x})
    apart = np.abs(shares - model.predict_proba(x)).max(axis=1)
    print(
        f"{type(model).__name__}: the export predicts another class for {(labels != model.predict(x)).mean():.1%} of the "
        f"rows, a probability differs by up to {apart.max():.2f}; on rows without a missing value by {apart[whole].max():.1e}"
    )
    assert (labels != model.predict(x)).mean() > 0.05, "the behaviour changed: the export follows missing values"
    assert apart[whole].max() < 1e-5
PY
