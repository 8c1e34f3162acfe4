#!/usr/bin/env bash
# An imputer with indicator columns converts to ONNX without an error; the file then cannot be run.
# Seen with: scikit-learn 1.9.1, skl2onnx 1.20.0, onnx 1.23.2, onnxruntime 1.32.0, Python 3.11.
set -euo pipefail
place=$(mktemp -d); trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check scikit-learn==1.9.1 skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 scipy==1.17.1
"$place/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import onnx
import onnxruntime
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

# Guess before the run: the converter adds the indicator columns, or refuses add_indicator.
rng = np.random.default_rng(0)
x = rng.normal(size=(500, 4)).astype(np.float32)
y = (x[:, 0] > 0).astype(int)
x[rng.random(x.shape) < 0.2] = np.nan
for indicator in (False, True):
    model = make_pipeline(SimpleImputer(add_indicator=indicator), RandomForestClassifier(20, random_state=0)).fit(x, y)
    proto = to_onnx(model, x[:1], options={"zipmap": False})
    onnx.checker.check_model(proto)
    onnxruntime.set_default_logger_severity(4)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    try:
        labels = session.run(None, {session.get_inputs()[0].name: x})[0]
        said = f"runs, agrees on {(labels == model.predict(x)).mean():.1%} of the rows"
    except Exception as error:  # onnxruntime's errors have no common root
        said = f"cannot be run: {str(error)[:60]}"
    print(f"add_indicator={indicator}: converted, passes the ONNX checker, {said}")
    assert ("cannot be run" in said) == indicator, "the behaviour changed"
PY
