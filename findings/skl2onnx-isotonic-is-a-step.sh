#!/usr/bin/env bash
# Isotonic calibration converts to ONNX as a look-up of the nearest threshold; scikit-learn interpolates.
# Seen with: scikit-learn 1.9.1, skl2onnx 1.20.0, onnx 1.23.2, onnxruntime 1.32.0, Python 3.11.
set -euo pipefail
place=$(mktemp -d); trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check scikit-learn==1.9.1 skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 scipy==1.17.1
"$place/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

# Guess before the run: the export interpolates between thresholds as IsotonicRegression.predict does.
x, y = load_breast_cancer(return_X_y=True)
x = ((x - x.min(0)) / (x.max(0) - x.min(0))).astype(np.float32)
for method in ("sigmoid", "isotonic"):
    model = CalibratedClassifierCV(LogisticRegression(), method=method).fit(x, y)
    proto = to_onnx(model, x[:1], options={"zipmap": False})
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    shares = session.run(None, {session.get_inputs()[0].name: x})[1]
    apart = np.abs(shares - model.predict_proba(x)).max(axis=1)
    operators = {node.op_type for node in proto.graph.node}
    print(
        f"{method}: a probability differs by up to {apart.max():.1e}, in {(apart > 1e-3).mean():.1%} of the rows by more "
        f"than 0.001; the nearest threshold is looked up (ArgMin): {'ArgMin' in operators}"
    )
    if method == "sigmoid":
        assert apart.max() < 1e-5
    else:
        assert apart.max() > 0.05, "the behaviour changed: the export interpolates"
        assert "ArgMin" in operators
PY
