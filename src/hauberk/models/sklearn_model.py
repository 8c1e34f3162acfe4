"""SklearnModel: a fitted scikit-learn estimator with its encoder in front, and its export to ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np

from hauberk.core.errors import HauberkError, InvalidInput
from hauberk.core.extras import need
from hauberk.models import _blame, _scores
from hauberk.models._export import OPSET, finished
from hauberk.models.encoding import Encoding
from hauberk.models.port import SMALLEST, Floats, Labels, log_of
from hauberk.models.spec import Spec

_OURS = "hauberk_"  # prefix of the names that the export adds to the estimator's graph


class SklearnModel:
    """A fitted estimator as a `models.port.Model`, for black-box attacks."""

    framework = "sklearn"

    def __init__(self, estimator: Any, spec: Spec, encoding: Encoding | None) -> None:  # noqa: ANN401 - no types
        """estimator: fitted on encoded rows, or on flat pixels if `encoding` is None."""
        self.estimator = estimator
        self.spec = spec
        self.encoding = encoding

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.spec.classes

    def features(self, x: Floats) -> Floats:
        """Return the estimator's input, (n, features) float32."""
        return features(x, self.encoding)

    def scores(self, x: Floats) -> Floats:
        """Return (n, classes) log-probabilities. Raises InvalidInput for NaN, and if the estimator raises."""
        if not len(x):
            return np.zeros((0, self.classes), np.float32)
        try:
            probabilities = np.asarray(self.estimator.predict_proba(self.features(x)))
        except HauberkError:
            raise
        except Exception as error:
            place = _blame.place(error, otherwise=type(self.estimator).__name__)
            raise InvalidInput(f"{place}: predict_proba raised {_blame.told(error)}.") from error
        _scores.checked(probabilities, len(x), self.classes, who="the model's predict_proba")
        return log_of(probabilities)

    def weights(self) -> bytes | None:
        """Return None: an estimator has no safetensors form; its ONNX export is stored instead."""
        return None

    def export_onnx(self) -> bytes:
        """Return the encoder and the estimator as one ONNX graph: "input" to "scores", log-probabilities.

        Raises InvalidInput if the estimator has no ONNX form, or if its export gives other probabilities.
        """
        return finished(_to_onnx(self), self, self.spec)


def features(x: Floats, encoding: Encoding | None) -> Floats:
    """Return the encoded rows, or flat pixels if there is no encoding."""
    return encoding(x) if encoding is not None else x.reshape(len(x), -1)


def fitted(estimator: Any, rows: Floats, y: Labels, spec: Spec, seed: int) -> Any:  # noqa: ANN401 - no types
    """Return a copy of `estimator` fitted on encoded rows, with every unset `random_state` set to `seed`.

    scikit-learn's own warnings, such as about convergence, are left alone. Raises InvalidInput if fitting raises, or if a
    class has no row.
    """
    clone = need("sklearn.base").clone(estimator)
    open_states = {
        name: seed % 2**32
        for name, value in clone.get_params(deep=True).items()
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    }
    clone.set_params(**open_states)
    missing = sorted(set(range(spec.classes)) - set(np.unique(y).tolist()))
    if missing:
        raise InvalidInput(f"the training rows hold no row of class {missing[0]} (of {spec.classes} classes).")
    try:
        clone.fit(rows, y)
    except HauberkError:
        raise
    except Exception as error:
        place = _blame.place(error, otherwise=type(clone).__name__)
        raise InvalidInput(f"{place}: fit raised {_blame.told(error)} on {rows.shape[0]} rows.") from error
    return clone


def _to_onnx(model: SklearnModel) -> Any:  # noqa: ANN401 - an onnx.ModelProto
    skl2onnx, types = need("skl2onnx"), need("skl2onnx.common.data_types")
    estimator, width = model.estimator, model.spec.features
    try:
        proto = skl2onnx.convert_sklearn(
            estimator,
            name="model",
            initial_types=[(_OURS + "features", types.FloatTensorType([None, width]))],
            options={id(estimator): {"zipmap": False}},
            target_opset={"": OPSET, "ai.onnx.ml": 3},
        )
    except Exception as error:
        raise InvalidInput(
            f"{type(estimator).__name__} cannot be exported to ONNX: {_blame.told(error.__cause__ or error)}. Use "
            "an estimator that skl2onnx converts, such as GradientBoostingClassifier or RandomForestClassifier."
        ) from error
    return _framed(proto, model)


def _framed(proto: Any, model: SklearnModel) -> Any:  # noqa: ANN401 - an onnx.ModelProto
    """Return a graph of the encoder, the estimator's graph and the logarithm."""
    onnx = need("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    spec = model.spec
    constants: dict[str, np.ndarray[Any, Any]] = {"floor": np.array(SMALLEST, dtype=np.float32)}
    before = _encoder_nodes(helper, model.encoding, constants)
    probabilities = proto.graph.output[1].name
    after = [
        helper.make_node("Max", [probabilities, _OURS + "floor"], [_OURS + "floored"]),
        helper.make_node("Log", [_OURS + "floored"], ["scores"]),
    ]
    nodes = [*before, *_needed(proto.graph.node, probabilities), *after]
    initializers = [onnx.numpy_helper.from_array(value, _OURS + name) for name, value in constants.items()]
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("input", floats, ["batch", *spec.shape])],
        [helper.make_tensor_value_info("scores", floats, ["batch", spec.classes])],
        [*initializers, *proto.graph.initializer],
    )
    # The converter writes operators as in OPSET but declares the oldest set that contains them, which may be older than
    # the encoder's operators.
    opsets = [helper.make_opsetid("", OPSET)]
    opsets += sorted((o for o in proto.opset_import if o.domain), key=lambda opset: str(opset.domain))
    return helper.make_model(graph, opset_imports=opsets, ir_version=proto.ir_version)


def _encoder_nodes(helper: Any, encoding: Encoding | None, constants: dict[str, Any]) -> list[Any]:  # noqa: ANN401
    """Return the float32 operations of `Encoding` one by one, so that a tree sees exactly the same numbers."""
    target = _OURS + "features"
    if encoding is None:
        return [helper.make_node("Flatten", ["input"], [target], axis=1)]
    nodes, parts = [], []

    def node(kind: str, inputs: list[str], output: str, **attributes: int) -> None:
        nodes.append(helper.make_node(kind, inputs, [_OURS + output], **attributes))

    def named(*names: str) -> list[str]:
        return [_OURS + name for name in names]

    if len(encoding.numbers):
        constants |= {"numbers": encoding.numbers, "mean": encoding.mean, "scale": encoding.scale}
        node("Gather", ["input", *named("numbers")], "picked", axis=1)
        node("Sub", named("picked", "mean"), "centred")
        node("Div", named("centred", "scale"), "standardised")
        parts += named("standardised")
    if len(encoding.sources):
        constants |= {"sources": encoding.sources, "codes": encoding.codes}
        node("Gather", ["input", *named("sources")], "chosen", axis=1)
        node("Round", named("chosen"), "rounded")
        node("Equal", named("rounded", "codes"), "matches")
        node("Cast", named("matches"), "flags", to=1)
        parts += named("flags")
    nodes.append(helper.make_node("Concat", parts, [target], axis=1))
    return nodes


def _needed(nodes: Any, output: str) -> list[Any]:  # noqa: ANN401 - protobuf nodes
    """Return the nodes that `output` depends on, in order; this drops the branch of the predicted label."""
    wanted, kept = {output}, []
    for node in reversed(nodes):
        if wanted & set(node.output):
            kept.append(node)
            wanted |= set(node.input)
    return kept[::-1]
