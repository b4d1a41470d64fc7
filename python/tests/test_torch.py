"""The modules of hnorm.torch are those of torch.nn: values, gradients, buffers, states, errors."""
import copy

import numpy as np
import pytest
from reference import SHAPES, assert_accurate, assert_within

torch = pytest.importorskip("torch")

import hnorm.torch  # noqa: E402

TYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
KINDS = {  # the name of the module without its rank, its arguments
    "batch": ("BatchNorm", {}),
    "batch, momentum=None": ("BatchNorm", {"momentum": None}),
    "batch, not affine": ("BatchNorm", {"affine": False, "eps": 1e-3}),
    "batch, not tracked": ("BatchNorm", {"track_running_stats": False}),
    "instance": ("InstanceNorm", {}),
    "instance, tracked": ("InstanceNorm", {"affine": True, "track_running_stats": True, "momentum": 0.3}),
    "group": ("GroupNorm", {}),
    "group, not affine": ("GroupNorm", {"affine": False}),
}
MODULES = [(kind, shape) for kind in KINDS for shape in SHAPES if len(shape) > 2 or not kind.startswith("instance")]


def module(kind, shape, library):
    """The module with parameters and running statistics that are not the first ones."""
    name, options = KINDS[kind]
    if name == "GroupNorm":
        result = library.GroupNorm(3, shape[1], **options)
    else:
        result = getattr(library, f"{name}{max(1, len(shape) - 2)}d")(shape[1], **options)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for values in [*result.parameters(), *result.buffers()]:
            if values.is_floating_point():
                values.copy_(torch.rand(values.shape, generator=generator) + 0.5)
    return result


def random(shape, type_, last, seed=0):
    x = (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 2 + 0.5).to(TYPES[type_])
    return x.movedim(1, -1).contiguous().movedim(-1, 1) if last else x


def numpy(tensor):
    return tensor.detach().double().numpy()


def magnitude(reference, x):
    """|gamma*xhat| + |beta| by PyTorch's module: two calls, without beta and with beta alone."""
    if getattr(reference, "weight", None) is None:
        return np.abs(numpy(reference(x)))
    beta, reference = reference.bias.detach(), copy.deepcopy(reference)
    reference.bias.data.zero_()
    return np.abs(numpy(reference(x))) + np.abs(numpy(beta)).reshape(-1, *[1] * (x.dim() - 2))


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("kind, shape", MODULES)
def test_values_and_gradients_are_those_of_pytorch(kind, shape, last, type_, training):
    ours, theirs = (module(kind, shape, library).train(training) for library in (hnorm.torch, torch.nn))
    theirs = theirs.double()
    for step in range(2):
        x, dy = random(shape, type_, last, step), random(shape, type_, last, step + 10)
        of_theirs = x.double().requires_grad_()
        allowed = magnitude(copy.deepcopy(theirs), of_theirs)
        x.requires_grad_()
        y, expected = ours(x), theirs(of_theirs)
        assert y.dtype == x.dtype and y.stride() == x.stride()
        assert_accurate(numpy(y), numpy(expected), allowed, type_)

        y.backward(dy)
        expected.backward(dy.double())
        assert x.grad.dtype == x.dtype
        scale = np.abs(numpy(of_theirs.grad)).max() + np.abs(numpy(dy)).max()
        assert_within(numpy(x.grad), numpy(of_theirs.grad), 4e-6 * scale, type_)
        for a, b in zip(ours.parameters(), theirs.parameters()):
            assert a.grad.dtype == torch.float32
            np.testing.assert_allclose(numpy(a.grad), numpy(b.grad), rtol=1e-5, atol=2e-6 * np.abs(numpy(dy)).sum())
    for (name, a), b in zip(ours.named_buffers(), theirs.buffers()):
        np.testing.assert_allclose(numpy(a), numpy(b), rtol=1e-6, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("frozen", [["weight"], ["bias"], ["weight", "bias"]])
@pytest.mark.parametrize("of_input", [True, False])
def test_only_the_gradients_that_are_wanted_are_computed(frozen, of_input):
    bn, x = hnorm.torch.BatchNorm2d(6), random((3, 6, 5, 4), "f32", False)
    for name in frozen:
        getattr(bn, name).requires_grad_(False)
    x.requires_grad_(of_input)
    y = bn(x)
    assert y.requires_grad == (of_input or len(frozen) == 1)
    if y.requires_grad:
        y.square().sum().backward()
    assert (x.grad is not None) == of_input
    assert [name for name in ("weight", "bias") if getattr(bn, name).grad is None] == frozen


def test_memory_formats_are_kept_and_other_strides_are_copied():
    bn = hnorm.torch.BatchNorm2d(6)
    x = random((3, 6, 5, 4), "f32", False)
    expected = bn(x)
    last = x.to(memory_format=torch.channels_last)
    assert bn(last).is_contiguous(memory_format=torch.channels_last)
    for same in (last, x.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0), x.repeat(1, 1, 1, 2)[..., :4]):
        leaf = same.detach().requires_grad_()
        y = bn(leaf)
        assert torch.allclose(y, expected, atol=1e-6)
        y.sum().backward()  # a gradient of stride 0
        assert leaf.grad.abs().max() < 1e-5


def test_a_model_of_half_is_trained():
    for type_ in (torch.float16, torch.bfloat16):
        ours, theirs = hnorm.torch.BatchNorm1d(6).to(type_), torch.nn.BatchNorm1d(6).double()
        x = random((8, 6), "f16", False).to(type_)
        y = ours(x)
        y.sum().backward()
        assert y.dtype == ours.weight.grad.dtype == ours.running_mean.dtype == type_
        torch.testing.assert_close(y.double(), theirs(x.double()), rtol=1e-2, atol=1e-2)
        torch.testing.assert_close(ours.running_var.double(), theirs.running_var, rtol=1e-2, atol=1e-2)


def test_what_has_no_kernel_is_refused():
    bn = hnorm.torch.BatchNorm1d(6)
    with pytest.raises(hnorm.Error, match="float64: it must be float32, float16 or bfloat16"):
        bn(torch.zeros(4, 6, dtype=torch.float64))
    with pytest.raises(TypeError, match="no array"):
        bn(torch.zeros(4, 6, device="meta"))
    with pytest.raises(ValueError, match="expected 2D or 3D input"):
        bn(torch.zeros(4, 6, 2, 2))
    with pytest.raises(ValueError, match="more than 1 value"):
        bn(torch.zeros(1, 6))
    with pytest.raises(hnorm.Error, match="must hold 5"):
        bn(torch.zeros(4, 5))
    with pytest.raises(RuntimeError, match="once_differentiable"):
        x = random((4, 6), "f32", False).requires_grad_()
        (gradient,) = torch.autograd.grad(bn(x).square().sum(), x, create_graph=True)
        gradient.sum().backward()


def test_empty_tensors_are_those_of_pytorch():
    for library in (torch.nn, hnorm.torch):
        bn = library.BatchNorm2d(6).eval()
        assert bn(torch.zeros(0, 6, 2, 2)).shape == (0, 6, 2, 2)


def test_a_sample_alone_has_no_axis_n():
    norm, x = hnorm.torch.InstanceNorm2d(6), random((6, 5, 4), "f32", False)
    assert torch.equal(norm(x), norm(x[None])[0])


def test_states_are_exchanged():
    for kind, shape in MODULES:
        ours, theirs = module(kind, shape, hnorm.torch), module(kind, shape, torch.nn)
        ours(random(shape, "f32", False))
        assert list(ours.state_dict()) == list(theirs.state_dict())
        theirs.load_state_dict(ours.state_dict())
        back = module(kind, shape, hnorm.torch)
        back.load_state_dict(theirs.state_dict())
        for name, values in ours.state_dict().items():
            assert torch.equal(back.state_dict()[name], values)
        assert repr(ours) == repr(theirs)


def test_convert_changes_nothing_but_the_kernels():
    class Own(torch.nn.BatchNorm2d):
        pass

    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3), torch.nn.BatchNorm2d(6, eps=1e-3), torch.nn.Sequential(torch.nn.GroupNorm(3, 6)),
        torch.nn.InstanceNorm2d(6, affine=True), Own(6)).eval()
    model[1].train()
    called = []
    model[1].register_forward_hook(lambda *_: called.append(True))
    before, x = copy.deepcopy(model), random((2, 3, 8, 8), "f32", False)
    parameters = dict(model.named_parameters())
    assert hnorm.torch.convert(model) is model
    assert [type(each) for each in (model[1], model[2][0], model[3], model[4])] == [
        hnorm.torch.BatchNorm2d, hnorm.torch.GroupNorm, hnorm.torch.InstanceNorm2d, Own]
    assert all(values is parameters[name] for name, values in model.named_parameters())
    assert list(model.state_dict()) == list(before.state_dict())
    assert model[1].training and not model[2].training and model[1].eps == 1e-3
    torch.testing.assert_close(model(x), before(x), rtol=1e-5, atol=1e-5)
    assert called
    torch.testing.assert_close(model.state_dict(), before.state_dict(), rtol=1e-5, atol=1e-6)
    assert type(hnorm.torch.convert(torch.nn.BatchNorm1d(4))) is hnorm.torch.BatchNorm1d
    copy.deepcopy(model)(x)


def test_a_bias_alone_has_a_gradient():
    x, bias = random((3, 6, 5), "f32", False), torch.ones(6, requires_grad=True)
    for training in (True, False):
        bias.grad = None
        hnorm.torch.functional.batch_norm(x, torch.zeros(6), torch.ones(6), None, bias, training).sum().backward()
        assert torch.equal(bias.grad, torch.full((6,), 15.0))


def test_running_statistics_that_do_not_fit_are_refused():
    x, six, five = random((3, 6, 5), "f32", False), torch.ones(6), torch.ones(5)
    for training in (True, False):
        with pytest.raises(hnorm.Error, match="running_var holds 5 values but must hold 6"):
            hnorm.torch.functional.batch_norm(x, six, five, training=training)
    with pytest.raises(hnorm.Error, match="running_mean is None"):
        hnorm.torch.functional.batch_norm(x, None, six)
    hnorm.torch.functional.batch_norm(x, None, six, training=True)
    assert not torch.equal(six, torch.ones(6))


def test_running_statistics_may_have_gaps():
    x, memory, plain = random((3, 6, 5), "f32", False), torch.ones(6, 2), torch.ones(6)
    for running in (memory[:, 0], plain):
        hnorm.torch.functional.batch_norm(x, running, None, training=True)
    assert torch.equal(memory[:, 0], plain) and torch.equal(memory[:, 1], torch.ones(6))
