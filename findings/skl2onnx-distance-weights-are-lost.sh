#!/usr/bin/env bash
# Neighbours weighted by distance convert to ONNX as neighbours that all weigh the same.
# Seen with: scikit-learn 1.9.1, skl2onnx 1.20.0, onnx 1.23.2, onnxruntime 1.32.0, Python 3.11.
set -euo pipefail
place=$(mktemp -d); trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check scikit-learn==1.9.1 skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 scipy==1.17.1
"$place/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer
from sklearn.neighbors import KNeighborsClassifier

# Guess before the run: the export weighs by distance, with a special case for a distance of zero.
x, y = load_breast_cancer(return_X_y=True)
x = ((x - x.min(0)) / (x.max(0) - x.min(0))).astype(np.float32)
train, test = x[:400], x[400:]
weighted = KNeighborsClassifier(weights="distance").fit(train, y[:400])
uniform = KNeighborsClassifier(weights="uniform").fit(train, y[:400])
session = onnxruntime.InferenceSession(to_onnx(weighted, train[:1], options={"zipmap": False}).SerializeToString())
for name, rows in (("training rows", train), ("other rows", test)):
    labels, shares = session.run(None, {session.get_inputs()[0].name: rows})
    to_weighted = np.abs(shares - weighted.predict_proba(rows)).max()
    to_uniform = np.abs(shares - uniform.predict_proba(rows)).max()
    print(
        f"{name}: {int((labels != weighted.predict(rows)).sum())} of {len(rows)} get another class; a probability differs "
        f"by up to {to_weighted:.3f} from the weighted model, by {to_uniform:.1e} from one with uniform weights"
    )
    assert to_weighted > 0.02, "the behaviour changed: the export weighs by distance"
    assert to_uniform < 1e-5, "the behaviour changed: the export is not the uniform vote any more"
PY
