"""A brought ONNX file: what is read, and what is refused before anything runs."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hauberk import training
from hauberk.core.errors import InvalidInput
from hauberk.models.port import Differentiable, Model
from hauberk.training import OnnxModel, Spec

SPEC = Spec("image", (1, 2, 2), 3)
WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3)


def linear(*, softmax=False, batch="n", kind="Gemm", domain="", out=3):
    nodes = [helper.make_node("Flatten", ["x"], ["flat"])]
    nodes.append(helper.make_node("MatMul", ["flat", "w"], ["y" if not softmax and kind == "Gemm" else "z"]))
    if softmax:
        nodes.append(helper.make_node("Softmax", ["z"], ["y"]))
    if kind != "Gemm":
        nodes.append(helper.make_node(kind, ["z"], ["y"], domain=domain))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 1, 2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, out])],
        [numpy_helper.from_array(WEIGHTS[:, :out], "w")],
    )
    opsets = [helper.make_opsetid("", 20)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def rows(n):
    return np.random.default_rng(0).random((n, 1, 2, 2), dtype=np.float32)


def test_logits_are_returned_unchanged():
    model = OnnxModel(linear().SerializeToString(), SPEC)
    np.testing.assert_allclose(model.scores(rows(5)), rows(5).reshape(5, 4) @ WEIGHTS, rtol=1e-5)
    assert isinstance(model, Model)
    assert not isinstance(model, Differentiable)


def test_probabilities_become_logarithms():
    model = OnnxModel(linear(softmax=True).SerializeToString(), SPEC)
    logits = (rows(5).reshape(5, 4) @ WEIGHTS).astype(np.float64)
    expected = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    np.testing.assert_allclose(model.scores(rows(5)), expected, atol=1e-4)


@pytest.mark.parametrize("n", [0, 1, 4, 5, 9])
def test_a_fixed_batch_size_is_filled_up(n):
    model = OnnxModel(linear(batch=4).SerializeToString(), SPEC)
    np.testing.assert_allclose(model.scores(rows(n)), rows(n).reshape(n, 4) @ WEIGHTS, rtol=1e-5)


def test_the_bytes_that_were_read_are_the_bytes_that_are_kept():
    data = linear().SerializeToString()
    assert OnnxModel(data, SPEC).export_onnx() == data
    assert OnnxModel(data, SPEC).weights() is None


def test_a_custom_operator_is_refused():
    with pytest.raises(InvalidInput, match=r"operator Run of 'evil\.ops'"):
        OnnxModel(linear(kind="Run", domain="evil.ops").SerializeToString(), SPEC)


def test_a_custom_operator_inside_a_branch_is_refused():
    proto = linear()
    inner = helper.make_graph([helper.make_node("Run", [], ["o"], domain="evil.ops")], "b", [], [])
    condition = helper.make_node("If", ["c"], ["o"], then_branch=inner, else_branch=inner)
    proto.graph.node.insert(0, condition)
    with pytest.raises(InvalidInput, match=r"evil\.ops"):
        OnnxModel(proto.SerializeToString(), SPEC)


def test_data_in_another_file_are_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(48))
    proto = linear()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", str(secret)
    with pytest.raises(InvalidInput, match="keeps 'w' in another file"):
        OnnxModel(proto.SerializeToString(), SPEC)


@pytest.mark.parametrize("data", [b"", b"not onnx at all", b"\x80\x04\x95pickle", bytes(100)])
def test_other_bytes_are_refused(data):
    with pytest.raises(InvalidInput, match="not an ONNX file"):
        OnnxModel(data, SPEC)


def test_a_truncated_file_is_refused():
    data = linear().SerializeToString()
    for stop in range(1, len(data), 7):
        with pytest.raises(InvalidInput):
            OnnxModel(data[:stop], SPEC)


def test_inputs_and_outputs_that_do_not_fit_the_data_are_refused():
    data = linear().SerializeToString()
    with pytest.raises(InvalidInput, match=r"expected one tensor\(float\) of shape \['batch', 3, 32, 32\]"):
        OnnxModel(data, Spec("image", (3, 32, 32), 3))
    with pytest.raises(InvalidInput, match=r"shape \['batch', 5\]"):
        OnnxModel(data, Spec("image", (1, 2, 2), 5))


def test_a_model_that_returns_nan_is_refused():
    proto = linear(kind="Log")  # of negative numbers
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(-1 - WEIGHTS, "w"))
    with pytest.raises(InvalidInput, match="the ONNX model returned NaN"):
        OnnxModel(proto.SerializeToString(), SPEC)


def test_it_cannot_be_hardened_and_says_what_to_bring_instead():
    from hauberk.attacks.budget import Ball

    model = OnnxModel(linear().SerializeToString(), SPEC)
    hardening = training.Hardening((Ball("linf", 0.1),))
    with pytest.raises(InvalidInput, match=r"cannot harden it.*safetensors"):
        training.fine_tune(model, rows(9), np.zeros(9, np.int64), hardening=hardening)


def test_the_checker_agrees_that_our_fixture_is_onnx():
    onnx.checker.check_model(linear())
