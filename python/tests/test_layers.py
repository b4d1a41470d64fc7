"""Layers: those of C++, with arrays of NumPy."""
import gc

import hnorm
import numpy as np
import pytest
from reference import assert_gradients_accurate, gradients, random, statistics

X, DY = random((4, 6, 5)), random((4, 6, 5), seed=1)


def test_a_batch_norm_trains_and_evaluates():
    bn = hnorm.BatchNorm(6)
    assert bn.is_training and bn.num_features == 6 and bn.num_batches_tracked == 0
    y = bn.forward(X)
    assert np.array_equal(y, hnorm.forward(X, hnorm.Group.batch, bn.gamma, bn.beta))
    mean, variance = statistics(X, hnorm.Group.batch)
    np.testing.assert_allclose(bn.running_mean, 0.1 * mean, rtol=1e-6)
    np.testing.assert_allclose(bn.running_var, 0.9 + 0.1 * variance * 20 / 19, rtol=1e-6)
    assert bn.num_batches_tracked == 1
    dx = bn.backward(X, DY)
    dgamma, dbeta = bn.gamma_grad.copy(), bn.beta_grad.copy()
    expected = gradients(X, DY, hnorm.Group.batch, mean, variance, np.ones(6))
    assert_gradients_accurate((dx, dgamma, dbeta), expected)
    bn.backward(X, DY, dx=False)
    assert np.array_equal(bn.gamma_grad, 2 * dgamma) and np.array_equal(bn.beta_grad, 2 * dbeta)
    bn.zero_grad()
    assert not bn.gamma_grad.any() and not bn.beta_grad.any()
    bn.eval()
    y = bn.forward(X)
    assert np.array_equal(y, hnorm.normalize(X, hnorm.Group.batch, bn.running_mean, bn.running_var, bn.gamma, bn.beta))
    bn.train()
    bn.reset_running_stats()
    assert bn.is_training and bn.num_batches_tracked == 0 and not bn.running_mean.any()


def test_arrays_are_the_memory_of_the_layer_and_keep_it():
    bn = hnorm.BatchNorm(6)
    gamma = bn.gamma
    gamma[:] = 2
    assert np.array_equal(bn.forward(X), hnorm.forward(X, hnorm.Group.batch, np.full(6, 2)))
    del bn
    gc.collect()
    assert np.array_equal(gamma, np.full(6, 2))


def test_a_residual_and_an_activation_follow():
    bn, residual = hnorm.BatchNorm(6, activation="relu"), random((4, 6, 5), seed=2)
    y = bn.forward_add(X, residual)
    expected = hnorm.forward(X, hnorm.Group.batch, bn.gamma, bn.beta, residual=residual, activation="relu")
    assert np.array_equal(y, expected)
    dx, dresidual = bn.backward_add(X, y, DY)
    assert np.array_equal(dresidual, np.where(y > 0, DY, np.float32(0)))
    plain = hnorm.BatchNorm(6)
    plain.forward(X)
    assert np.array_equal(dx, plain.backward(X, dresidual)) and bn.backward_add(X, y, DY, dx=False)[0] is None


def test_defaults_and_options_are_those_of_pytorch():
    assert hnorm.InstanceNorm(6).gamma is None and hnorm.InstanceNorm(6).running_mean is None
    assert hnorm.InstanceNorm(6).num_batches_tracked is None
    assert hnorm.InstanceNorm2d(6, affine=True, track_running_stats=True).running_var.shape == (6,)
    group_norm = hnorm.GroupNorm(3, 6)
    assert np.array_equal(group_norm.forward(X), hnorm.forward(X, hnorm.groups(3), group_norm.gamma, group_norm.beta))
    cumulative = hnorm.BatchNorm(6, momentum=None)
    for part in (X[:2], X[2:]):
        cumulative.forward(part)
    np.testing.assert_allclose(cumulative.running_mean, X.mean((0, 2), dtype=np.float64), rtol=1e-6, atol=1e-7)
    of_onnx = hnorm.BatchNorm(6, onnx_running_stats=True)
    of_onnx.forward(X)
    np.testing.assert_allclose(of_onnx.running_var, 0.9 + 0.1 * X.var((0, 2), dtype=np.float64), rtol=1e-6)


@pytest.mark.parametrize("layer, shapes", [
    (hnorm.BatchNorm1d, [(4, 6), (4, 6, 5)]),
    (hnorm.BatchNorm2d, [(4, 6, 3, 2)]),
    (hnorm.BatchNorm3d, [(4, 6, 3, 2, 2)]),
    (hnorm.InstanceNorm1d, [(4, 6, 5)]),
    (hnorm.InstanceNorm2d, [(4, 6, 3, 2)]),
    (hnorm.InstanceNorm3d, [(4, 6, 3, 2, 2)]),
])
def test_names_with_a_rank_take_that_rank(layer, shapes):
    for shape in [(4, 6), (4, 6, 5), (4, 6, 3, 2), (4, 6, 3, 2, 2)]:
        if shape in shapes:
            assert layer(6).forward(random(shape)).shape == shape
        else:
            with pytest.raises(hnorm.Error, match=rf"{layer.__name__}: x.rank is {len(shape)}"):
                layer(6).forward(random(shape))


def test_states_come_back_from_files(tmp_path):
    bn = hnorm.BatchNorm(6)
    bn.gamma[:], bn.beta[:] = np.arange(6), np.arange(6) - 3
    bn.forward(X)
    np.savez(tmp_path / "bn.npz", **bn.state_dict())
    other = hnorm.BatchNorm(6)
    with np.load(tmp_path / "bn.npz") as state:
        assert sorted(state) == ["bias", "num_batches_tracked", "running_mean", "running_var", "weight"]
        assert state["num_batches_tracked"].shape == ()
        other.load_state_dict(state)
    for name, values in bn.state_dict().items():
        assert np.array_equal(other.state_dict()[name], values)
    with pytest.raises(hnorm.Error, match="holds no 'bias'"):
        other.load_state_dict({"weight": np.zeros(6)})
    with pytest.raises(hnorm.Error, match="'bias' holds 5 values but must hold 6"):
        other.load_state_dict({**bn.state_dict(), "bias": np.zeros(5)})
    assert np.array_equal(other.gamma, bn.gamma)  # nothing has changed


def test_refusals_are_errors():
    with pytest.raises(hnorm.Error, match="num_features is 0"):
        hnorm.BatchNorm(0)
    with pytest.raises(hnorm.Error, match="there was no forward|no forward"):
        hnorm.BatchNorm(6).backward(X, DY)
    with pytest.raises(hnorm.Error):
        hnorm.GroupNorm(4, 6)
