"""SyncBatchNorm over processes with Gloo: the bits of one process with hnorm.torch.BatchNorm, failures on all."""
import copy
import weakref

import pytest

torch = pytest.importorskip("torch")

import hnorm.torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
import torch.multiprocessing as mp  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

SPLITS = {2: [[0, 32], [0, 0], [0, 70]], 3: [[0, 32, 64], [0, 64, 64], [0, 0, 32]]}
SHAPES = [(70, 6), (70, 6, 5), (70, 6, 3, 4)]


def start(rank, body, ranks, folder, *arguments):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=ranks)
    body(rank, ranks, *arguments)
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def on_ranks(ranks, folder, body, *arguments):
    """body(rank, ranks, ...) in processes: an assertion that fails in one of them fails here."""
    mp.spawn(start, (body, ranks, folder, *arguments), ranks)


def random(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 2 + 0.5


def batch_norm(name, **options):
    result = getattr(hnorm.torch, name)(6, **options)
    for i, values in enumerate(result.parameters()):
        values.data = random((6,), i)
    return result


def step(bn, x, dy):
    x = x.detach().requires_grad_()
    y = bn(x)
    y.backward(dy)
    return y, x.grad, [parameter.grad for parameter in bn.parameters()], list(bn.buffers())


def equals_one_process(rank, ranks):
    for starts in SPLITS[ranks]:
        for shape in SHAPES:
            for options in ({}, {"momentum": None}, {"affine": False}, {"track_running_stats": False}):
                own = slice(starts[rank], [*starts, shape[0]][rank + 1])
                ours = batch_norm("SyncBatchNorm", **options)
                one = batch_norm(f"BatchNorm{max(1, len(shape) - 2)}d", **options)
                for seed in range(2):
                    x, dy = random(shape, seed), random(shape, seed + 5)
                    y, dx, gradients, buffers = step(ours, x[own], dy[own])
                    expected = step(one, x, dy)
                    assert torch.equal(y, expected[0][own]) and torch.equal(dx, expected[1][own])
                    assert all(torch.equal(a, b) for a, b in zip(buffers, expected[3], strict=True))
                    for a, b in zip(gradients, expected[2], strict=True):
                        dist.all_reduce(sum_ := a.clone())
                        torch.testing.assert_close(sum_, b, rtol=1e-4, atol=1e-4)
                ours.eval(), one.eval()
                if options != {"track_running_stats": False}:  # then evaluation is local
                    assert torch.equal(ours(x[own]), one(x)[own])


@pytest.mark.parametrize("ranks", SPLITS)
def test_ranks_have_the_bits_of_one_process(ranks, tmp_path):
    on_ranks(ranks, tmp_path, equals_one_process)


def trains_a_model(rank, ranks):
    """Two micro-batches before a backward, channels-last, DistributedDataParallel, checkpoints, and memory."""
    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), torch.nn.BatchNorm2d(6), torch.nn.ReLU(),
                                torch.nn.Conv2d(6, 4, 3), torch.nn.BatchNorm2d(4))
    one = hnorm.torch.convert(copy.deepcopy(model))
    model = hnorm.torch.convert_sync_batchnorm(model)
    assert [type(module) for module in model.modules()].count(hnorm.torch.SyncBatchNorm) == 2
    parallel = torch.nn.parallel.DistributedDataParallel(model)
    x = [random((64, 3, 8, 8), seed).to(memory_format=torch.channels_last) for seed in range(2)]
    size = 64 // ranks
    own = [each[rank * size:(rank + 1) * size] for each in x]
    (parallel(own[0]).square().sum() + parallel(own[1]).sin().sum()).backward()
    (one(x[0]).square().sum() + one(x[1]).sin().sum()).backward()
    for a, b in zip(model.parameters(), one.parameters()):
        torch.testing.assert_close(a.grad * ranks, b.grad, rtol=1e-3, atol=1e-3)

    bn, y = hnorm.torch.SyncBatchNorm(3), own[0].requires_grad_()
    for reentrant in (False, True):
        checkpoint(bn, y, use_reentrant=reentrant).sin().sum().backward()
    gradient, y.grad = y.grad, None
    bn(y).sin().sum().backward()
    assert torch.equal(gradient, 2 * y.grad)

    x = y * 1
    loss, gone = bn(x).sum(), weakref.ref(x)
    del x
    assert gone() is not None
    loss.backward()  # which frees what was kept for it
    assert gone() is None


@pytest.mark.parametrize("ranks", [2])
def test_a_model_is_trained(ranks, tmp_path):
    on_ranks(ranks, tmp_path, trains_a_model)


def fails_on_all(rank, ranks):
    x, bn = random((8, 6), rank), hnorm.torch.SyncBatchNorm(6)
    for wrong in (x.double(), x[:, :5], x[0, 0]):
        with pytest.raises(hnorm.Error, match="" if rank else "rank 1"):
            bn(x if rank == 0 else wrong)
    assert not bn.running_mean.any()
    bn(x)  # and goes on
    y = bn(x.requires_grad_())
    with torch.no_grad():
        x.add_(1)
    with pytest.raises(RuntimeError, match="inplace operation"):
        y.sum().backward()
    if rank == 0:  # the other process leaves
        with pytest.raises(hnorm.Error) as error:
            bn(x)
        assert error.value.status == "HNORM_COMM_ERROR" and isinstance(error.value.__cause__, RuntimeError)
    dist.destroy_process_group()


def test_a_failure_of_one_rank_is_an_error_on_all(tmp_path):
    on_ranks(2, tmp_path, fails_on_all)


def test_without_processes_it_is_a_batch_norm():
    ours, one = hnorm.torch.SyncBatchNorm(6), hnorm.torch.BatchNorm1d(6)
    x, dy = random((8, 6), 0), random((8, 6), 1)
    assert torch.equal(step(ours, x, dy)[1], step(one, x, dy)[1])
    with pytest.raises(ValueError, match="at least 2D"):
        ours(x[0])


def test_models_are_converted_and_states_are_those_of_pytorch():
    class Mine(torch.nn.BatchNorm2d):
        pass

    model = torch.nn.Sequential(torch.nn.BatchNorm1d(3, eps=1e-3), hnorm.torch.BatchNorm3d(3), Mine(3),
                                torch.nn.SyncBatchNorm(3), torch.nn.GroupNorm(1, 3)).eval()
    state = copy.deepcopy(model.state_dict())
    converted = hnorm.torch.convert_sync_batchnorm(model, process_group="a group")
    assert converted is model and not model[0].training and model[0].eps == 1e-3
    sync = hnorm.torch.SyncBatchNorm
    assert [type(module) for module in model] == [sync, sync, Mine, sync, torch.nn.GroupNorm]
    assert model[0].process_group == model[3].process_group == "a group"
    assert model.state_dict().keys() == state.keys()


def refuses(rank, ranks):
    with pytest.raises(ValueError, match="SyncBatchNorm expected input tensor to be on GPU or XPU or privateuseone"):
        torch.nn.SyncBatchNorm(6)(random((8, 6), 0))


def test_pytorch_has_none_on_the_cpu(tmp_path):
    """If this fails, docs/python.md may need another word."""
    on_ranks(1, tmp_path, refuses)
