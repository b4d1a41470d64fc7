"""The formulas of hnorm in float64 with NumPy, tensors of all formats, and the accuracy that is promised."""
import hnorm
import ml_dtypes
import numpy as np

EPS = 1e-5
TYPES = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16}
SHAPES = [(7, 6), (5, 6, 11), (3, 6, 5, 4), (2, 6, 3, 4, 5)]
GROUPS = {"batch": hnorm.Group.batch, "instance": hnorm.Group.instance, "groups": hnorm.groups(3)}
CASES = [(shape, last, group) for shape in SHAPES for last in (False, True) for group in GROUPS
         if len(shape) > 2 or group != "instance"]


def tensor(values, type_="f32", last=False):
    """The values as a new array of this type, channels-first or channels-last; its shape is (N, C, spatial...)."""
    values = np.asarray(values).astype(TYPES[type_])
    if not last:
        return np.ascontiguousarray(values)
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(values, 1, -1)), -1, 1)


def random(shape, type_="f32", last=False, seed=0):
    rng = np.random.default_rng([seed, *shape])
    means = rng.standard_normal((1, shape[1]) + (1,) * (len(shape) - 2))
    return tensor(rng.standard_normal(shape) * 2 + means, type_, last)


def by_channel(values, x):
    """Values (C,) or (N, C) against the axes of x."""
    values = np.asarray(values, np.float64)
    return values.reshape((1,) * (2 - values.ndim) + values.shape + (1,) * (x.ndim - 2))


def grouped(x, group):
    """x as (groups, elements of each), float64."""
    x = np.asarray(x, np.float64)
    if group == hnorm.Group.batch:
        return np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
    parts = x.shape[1] if group == hnorm.Group.instance else 3
    return x.reshape(x.shape[0] * parts, -1)


def ungrouped(values, x, group):
    if group == hnorm.Group.batch:
        return np.moveaxis(values.reshape(x.shape[1], x.shape[0], *x.shape[2:]), 0, 1)
    return values.reshape(x.shape)


def statistics(x, group):
    parts = grouped(x, group)
    return parts.mean(1), parts.var(1)


def shape_of_groups(x, group):
    return {"batch": (x.shape[1],), "instance": x.shape[:2], "groups": (x.shape[0], 3)}[name_of(group)]


def name_of(group):
    return next(name for name, value in GROUPS.items() if value == group)


def xhat(x, group, mean, variance):
    parts = grouped(x, group)
    mean, variance = np.reshape(mean, (-1, 1)), np.reshape(variance, (-1, 1))
    return ungrouped((parts - mean) / np.sqrt(variance + EPS), x, group)


def gradients(x, dz, group, mean, variance, gamma, constants=False):
    """dx, dgamma, dbeta with one gamma a channel, and for each of them what its error is relative to."""
    dz, normalized = np.asarray(dz, np.float64), xhat(x, group, mean, variance)
    g, of_xhat = grouped(dz * by_channel(gamma, x), group), grouped(normalized, group)
    invstd = 1 / np.sqrt(np.reshape(variance, (-1, 1)) + EPS)
    parts = g if constants else g - g.mean(1, keepdims=True) - of_xhat * (g * of_xhat).mean(1, keepdims=True)
    greatest = np.abs(g * invstd).max(1, keepdims=True) + 0 * g
    axes = (0, *range(2, x.ndim))
    values = ungrouped(parts * invstd, x, group), (dz * normalized).sum(axes), dz.sum(axes)
    return values, (ungrouped(greatest, x, group), np.abs(dz * normalized).sum(axes), np.abs(dz).sum(axes))


def assert_accurate(y, expected, magnitude, type_="f32"):
    """5e-7 * max(1, magnitude), or for 16-bit tensors one unit in the last place."""
    assert_within(y, expected, 5e-7 * np.maximum(1, magnitude), type_)


def assert_gradients_accurate(results, expected, type_="f32"):
    """2e-6 of what gradients() gives; dx of 16 bits also one unit in the last place."""
    for i, (result, values, magnitude) in enumerate(zip(results, *expected)):
        assert_within(result, values, 2e-6 * magnitude, "f32" if i else type_)


def assert_within(y, expected, bound, type_):
    error = np.abs(np.asarray(y, np.float64) - expected)
    if type_ != "f32":
        bits = 11 if type_ == "f16" else 8
        exponent = np.maximum(np.frexp(expected)[1], -13 if type_ == "f16" else -125)
        bound = np.maximum(bound, np.ldexp(1.0, exponent - bits))
    worst = np.argmax(error - bound)
    assert np.all(error <= bound), f"at {worst}: error {error.flat[worst]}, allowed: {(bound + 0 * error).flat[worst]}"
