"""BatchNormalization, InstanceNormalization and GroupNormalization of ONNX, by a backend for models of one node."""
import warnings

import numpy as np
import pytest
from reference import random

onnx = pytest.importorskip("onnx")

import hnorm  # noqa: E402
from onnx import helper  # noqa: E402
from onnx.backend.base import Backend, BackendRep  # noqa: E402
from onnx.backend.test.loader import load_node_model_tests  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402


def batch_normalization(x, scale, bias, mean, variance, epsilon=1e-5, momentum=0.9, training_mode=0, spatial=1):
    layer = hnorm.BatchNorm(x.shape[1], epsilon, momentum, onnx_running_stats=True)
    layer.gamma[:], layer.beta[:], layer.running_mean[:], layer.running_var[:] = scale, bias, mean, variance
    layer.train(bool(training_mode))
    y = layer.forward(x)
    return (y, np.float32(layer.running_mean), np.float32(layer.running_var)) if training_mode else (y,)


def instance_normalization(x, scale, bias, epsilon=1e-5):
    return (hnorm.forward(x, hnorm.Group.instance, scale, bias, epsilon),)


def group_normalization(x, scale, bias, num_groups, epsilon=1e-5, stash_type=1):
    per_channel = [np.repeat(values, x.shape[1] // len(values)) for values in (scale, bias)]  # opset 18: one a group
    return (hnorm.forward(x, hnorm.groups(num_groups), *per_channel, epsilon),)


OPERATORS = {"BatchNormalization": batch_normalization, "InstanceNormalization": instance_normalization,
             "GroupNormalization": group_normalization}


class Model(BackendRep):
    def __init__(self, node):
        self.node = node
        self.attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}

    def run(self, inputs, **kwargs):
        return OPERATORS[self.node.op_type](*inputs, **self.attributes)


class Hnorm(Backend):
    @classmethod
    def is_compatible(cls, model, device="CPU", **kwargs):
        return len(model.graph.node) == 1 and model.graph.node[0].op_type in OPERATORS

    @classmethod
    def prepare(cls, model, device="CPU", **kwargs):
        return Model(model.graph.node[0])


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of ONNX's own computations for other operators
    CASES = [case for case in load_node_model_tests() if Hnorm.is_compatible(case.model)]


def test_onnx_has_cases_of_each_operator():
    assert {case.model.graph.node[0].op_type for case in CASES} == set(OPERATORS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_node(case):
    for inputs, outputs in case.data_sets:
        results = Hnorm.prepare(case.model).run(inputs)
        assert len(results) == len(outputs)
        for result, expected in zip(results, outputs):
            assert result.dtype == expected.dtype
            np.testing.assert_allclose(result, expected, rtol=case.rtol, atol=case.atol)


@pytest.mark.parametrize("shape", [(7, 6), (5, 6, 4), (3, 6, 5, 4), (2, 6, 3, 4, 2)])
@pytest.mark.parametrize("opset, operator, attributes, training", [
    # One output is test mode. ONNX's evaluator moves the statistics nevertheless, but for a
    # momentum of 1.
    (9, "BatchNormalization", {"epsilon": 1e-2, "momentum": 1.0}, False),
    (14, "BatchNormalization", {"epsilon": 1e-2}, False),
    (14, "BatchNormalization", {"momentum": 0.7, "training_mode": 1}, True),
    (15, "BatchNormalization", {"training_mode": 1}, True),
    (9, "InstanceNormalization", {"epsilon": 1e-3}, False),
    (14, "InstanceNormalization", {}, False),
    (21, "GroupNormalization", {"num_groups": 3, "epsilon": 1e-3}, False),
])
def test_opset(opset, operator, attributes, training, shape):
    if operator != "BatchNormalization" and len(shape) == 2:
        pytest.skip("groups of one or two elements, for which ONNX's evaluator in float32 is no reference")
    names = ["x", "scale", "bias", "mean", "variance"][:5 if operator == "BatchNormalization" else 3]
    results = ["y", "running_mean", "running_variance"][:3 if training else 1]
    node = helper.make_node(operator, names, results, **attributes)
    inputs_and_outputs = [
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape if name in "xy" else (6,)) for name in some]
        for some in (names, results)]
    graph = helper.make_graph([node], "normalization", *inputs_and_outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    onnx.checker.check_model(model)
    inputs = [random(shape), *(np.abs(random((1, 6), seed=i)[0]) for i in range(1, len(names)))]
    expected = ReferenceEvaluator(model).run(None, dict(zip(names, inputs)))
    for result, values in zip(Hnorm.prepare(model).run(inputs), expected, strict=True):
        np.testing.assert_allclose(result, values, rtol=1e-5, atol=1e-5)
