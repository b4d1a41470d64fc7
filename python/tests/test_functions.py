"""The functions give the values of their formulas, in every rank, layout, type and kind of groups."""
import hnorm
import numpy as np
import pytest
from reference import (
    CASES,
    EPS,
    GROUPS,
    TYPES,
    assert_accurate,
    assert_gradients_accurate,
    by_channel,
    gradients,
    random,
    shape_of_groups,
    statistics,
    tensor,
    xhat,
)

GAMMA, BETA = np.linspace(0.5, 2, 6, dtype=np.float32), np.linspace(-1, 1, 6, dtype=np.float32)


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("shape, last, group", CASES)
class TestEveryFormat:
    def test_forward(self, shape, last, group, type_):
        x, group = random(shape, type_, last), GROUPS[group]
        mean, variance = np.empty(shape_of_groups(x, group)), np.empty(shape_of_groups(x, group))
        y = hnorm.forward(x, group, GAMMA, BETA, EPS, mean=mean, variance=variance)
        assert (y.dtype, y.shape, y.strides) == (x.dtype, x.shape, x.strides)
        of_mean, of_variance = statistics(x, group)
        np.testing.assert_allclose(mean.ravel(), of_mean, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(variance.ravel(), of_variance, rtol=1e-6)
        scaled = xhat(x, group, of_mean, of_variance) * by_channel(GAMMA, x)
        magnitude = np.abs(scaled) + np.abs(by_channel(BETA, x))
        assert_accurate(y, scaled + by_channel(BETA, x), magnitude, type_)

    def test_normalize(self, shape, last, group, type_):
        x, group = random(shape, type_, last), GROUPS[group]
        mean, variance = (values.reshape(shape_of_groups(x, group)) for values in statistics(x, group))
        y = hnorm.normalize(x, group, mean + 0.25, variance * 2, GAMMA, BETA, EPS)
        scaled = xhat(x, group, mean + 0.25, variance * 2) * by_channel(GAMMA, x)
        assert_accurate(y, scaled + by_channel(BETA, x), np.abs(scaled) + np.abs(by_channel(BETA, x)), type_)

    def test_moments(self, shape, last, group, type_):
        x, group = random(shape, type_, last), GROUPS[group]
        m, (mean, variance) = hnorm.moments(x, group), statistics(x, group)
        assert m.count.shape == m.mean.shape == m.m2.shape == shape_of_groups(x, group)
        assert np.all(m.count == x.size / m.count.size)
        np.testing.assert_allclose(m.mean.ravel(), mean, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(m.variance.ravel(), variance, rtol=1e-6)

    @pytest.mark.parametrize("constants", [False, True])
    def test_gradients(self, shape, last, group, type_, constants):
        x, dy, group = random(shape, type_, last), random(shape, type_, last, seed=1), GROUPS[group]
        mean, variance = (values.reshape(shape_of_groups(x, group)) for values in statistics(x, group))
        backward = hnorm.normalize_backward if constants else hnorm.backward
        dx, dgamma, dbeta = backward(x, dy, group, mean, variance, GAMMA, BETA, EPS)
        assert dx.strides == x.strides and dgamma.dtype == dbeta.dtype == np.float32
        expected = gradients(x, dy, group, mean, variance, GAMMA, constants)
        assert_gradients_accurate((dx, dgamma, dbeta), expected, type_)


def test_batch_normalization_has_the_formula_of_tensorflow():
    x = random((3, 6, 4, 5))
    mean, variance = np.linspace(-1, 1, 6), np.linspace(0.5, 3, 6)
    y = hnorm.batch_normalization(x, mean, variance, BETA, GAMMA, 1e-3)
    expected = (x - by_channel(mean, x)) / np.sqrt(by_channel(variance, x) + 1e-3)
    expected = expected * by_channel(GAMMA, x) + by_channel(BETA, x)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    of_each = [np.tile(values, (3, 1)) for values in (mean, variance, BETA, GAMMA)]
    assert np.array_equal(hnorm.batch_normalization(x, *of_each, 1e-3), y)
    assert np.array_equal(hnorm.batch_normalization(x, mean, variance, None, None, 1e-3),
                          hnorm.batch_normalization(x, mean, variance, BETA * 0, GAMMA * 0 + 1, 1e-3))


def test_gamma_and_beta_may_be_of_each_sample():
    x = random((3, 6, 8))
    gamma, beta = random((3, 6), seed=2), random((3, 6), seed=3)
    y = hnorm.forward(x, hnorm.Group.instance, gamma, beta)
    scaled = xhat(x, hnorm.Group.instance, *statistics(x, hnorm.Group.instance)) * by_channel(gamma, x)
    assert_accurate(y, scaled + by_channel(beta, x), np.abs(scaled) + np.abs(by_channel(beta, x)))
    m = hnorm.moments(x, hnorm.Group.instance)
    _, dgamma, dbeta = hnorm.backward(x, x, hnorm.Group.instance, m.mean, m.variance, gamma, beta)
    assert dgamma.shape == dbeta.shape == (3, 6)
    np.testing.assert_allclose(dbeta, x.sum(2, dtype=np.float64), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation, slope", [(None, 1), ("relu", 0), ("leaky_relu", 0.25)])
@pytest.mark.parametrize("with_residual", [False, True])
def test_a_residual_and_an_activation_follow(activation, slope, with_residual):
    x, dy, group = random((3, 6, 5)), random((3, 6, 5), seed=1), hnorm.Group.batch
    residual = random((3, 6, 5), seed=2) if with_residual else None
    post = {"activation": activation, "negative_slope": 0.25}
    mean, variance = np.empty(6), np.empty(6)
    y = hnorm.forward(x, group, GAMMA, BETA, residual=residual, mean=mean, variance=variance, **post)
    before = hnorm.forward(x, group, GAMMA, BETA) + (residual if with_residual else np.float32(0))
    np.testing.assert_allclose(y, np.where(before < 0, slope * before, before), rtol=1e-6, atol=1e-6)
    assert np.array_equal(hnorm.normalize(x, group, mean, variance, GAMMA, BETA, residual=residual, **post), y)

    dz = np.where(before < 0, slope * dy, dy)
    dresidual = np.empty_like(x) if with_residual else None
    results = hnorm.backward(x, dy, group, mean, variance, GAMMA, BETA, y=y if with_residual else None,
                             dresidual=dresidual, **post)
    assert_gradients_accurate(results, gradients(x, dz, group, mean, variance, GAMMA))
    if with_residual:
        assert np.array_equal(dresidual, np.float32(dz))
    if activation:
        assert np.array_equal(hnorm.activation_backward(y, dy, slope), np.float32(dz))


def test_moments_of_parts_merge_into_those_of_the_whole():
    x = random((8, 6, 5))
    merged, whole = hnorm.moments(x[:3], hnorm.Group.batch), hnorm.moments(x, hnorm.Group.batch)
    merged.merge(hnorm.moments(x[3:], hnorm.Group.batch))
    for name in ("count", "mean", "m2"):
        np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), rtol=1e-6, atol=1e-7)
    with pytest.raises(hnorm.Error, match="equally long, and are 6 and 8"):
        merged.merge(hnorm.moments(tensor(np.ones((2, 8))), hnorm.Group.batch))


def test_sums_of_parts_give_the_gradient_of_the_whole():
    x, dy, group = random((8, 6, 5)), random((8, 6, 5), seed=1), hnorm.Group.batch
    m = hnorm.moments(x, group)
    sums, other = (hnorm.backward_reduce(x[part], dy[part], group, m.mean) for part in (slice(3), slice(3, 8)))
    sums.dy += other.dy
    sums.dy_xmu += other.dy_xmu
    dx = hnorm.backward_apply(x, dy, group, m.count, m.mean, m.variance, sums, GAMMA)
    expected, _, _ = hnorm.backward(x, dy, group, m.mean, m.variance, GAMMA)
    np.testing.assert_allclose(dx, expected, rtol=1e-5, atol=1e-6)


def test_what_is_not_wanted_is_none():
    x, group = random((3, 6, 5)), hnorm.Group.batch
    mean, variance = statistics(x, group)
    everything = hnorm.backward(x, x, group, mean, variance, GAMMA)
    assert hnorm.backward(x, x, group, mean, variance, GAMMA, dx=False, dgamma=False, dbeta=False) == (None,) * 3
    _, dgamma, none = hnorm.backward(x, x, group, mean, variance, GAMMA, dx=False, dbeta=False)
    assert none is None and np.array_equal(dgamma, everything[1])
    dx, none, _ = hnorm.normalize_backward(None, x, group, mean, variance, GAMMA, dgamma=False)
    assert none is None and np.array_equal(dx, hnorm.normalize_backward(x, x, group, mean, variance, GAMMA)[0])
