"""Batch norm over several ranks, here threads of Python: the bits of one process, and failures that all ranks see."""
import gc
import shutil
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import hnorm
import numpy as np
import pytest
from reference import random

X, DY = random((70, 6, 5)), random((70, 6, 5), seed=1)


class Threads:
    """The all-gather of some threads. If one of them fails, the barrier is broken for all."""

    def __init__(self, ranks):
        self.barrier = threading.Barrier(ranks, timeout=60)
        self.messages = [b""] * ranks

    def all_gather(self, rank):
        def gather(mine, all):
            self.messages[rank] = bytes(mine)
            self.barrier.wait()
            all[:] = b"".join(self.messages)
            self.barrier.wait()

        return gather


def on_ranks(ranks, body):
    """What body(rank, group) returns or raises on each rank, a thread of its own."""
    group, results = Threads(ranks), [None] * ranks

    def run(rank):
        try:
            results[rank] = body(rank, group)
        except Exception as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(ranks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def step(bn, x, dy):
    y = bn.forward(x)
    return y, bn.backward(x, dy), bn.gamma_grad, bn.beta_grad, bn.running_mean, bn.running_var


def split(starts, x):
    return [x[a:b] for a, b in zip(starts, [*starts[1:], len(x)])]


@pytest.mark.parametrize("starts", [[0], [0, 32], [0, 32, 64], [0, 32, 32], [0, 0, 64], [0, 70]])
def test_ranks_have_the_bits_of_one_process(starts):
    expected = step(hnorm.BatchNorm(6), X, DY)

    def body(rank, group):
        bn = hnorm.BatchNorm(6)
        bn.set_comm(rank, len(starts), group.all_gather(rank), tag=5)
        return step(bn, split(starts, X)[rank], split(starts, DY)[rank])

    results = on_ranks(len(starts), body)
    for i in range(2):
        assert np.array_equal(np.concatenate([result[i] for result in results]), expected[i])
    for i in range(2, 6):
        assert all(np.array_equal(result[i], expected[i]) for result in results)


def test_gradients_can_be_those_of_the_rank():
    expected = step(hnorm.BatchNorm(6), X, DY)

    def body(rank, group):
        bn = hnorm.BatchNorm(6)
        bn.set_comm(rank, 2, group.all_gather(rank), gradients="rank")
        return step(bn, split([0, 20], X)[rank], split([0, 20], DY)[rank])

    results = on_ranks(2, body)
    assert not np.array_equal(results[0][3], results[1][3])
    for i in (2, 3):
        np.testing.assert_allclose(results[0][i] + results[1][i], expected[i], rtol=1e-4, atol=1e-4)


def test_an_exception_of_all_gather_is_the_cause():
    def body(rank, group):
        def failing(mine, all):
            group.barrier.abort()
            raise ConnectionError("the cable is out")

        bn = hnorm.BatchNorm(6)
        bn.set_comm(rank, 2, group.all_gather(rank) if rank else failing)
        bn.forward(X)

    first, second = on_ranks(2, body)
    assert isinstance(first, hnorm.Error) and first.status == "HNORM_COMM_ERROR"
    assert isinstance(first.__cause__, ConnectionError)
    assert isinstance(second, hnorm.Error) and isinstance(second.__cause__, threading.BrokenBarrierError)


@pytest.mark.parametrize("wrong, said", [
    (lambda x: x.astype(np.float64), "float64"),
    (lambda x: [1.0], "gives no array"),
    (lambda x: x[:, :5], "5"),
])
@pytest.mark.parametrize("backward", [False, True])
def test_a_refusal_on_one_rank_is_an_error_on_all(backward, wrong, said):
    layers = []

    def body(rank, group):
        bn = hnorm.BatchNorm(6)
        layers.append(bn)
        bn.set_comm(rank, 2, group.all_gather(rank))
        x = X[:40] if rank else X[40:]
        if backward:
            bn.forward(x)
            bn.backward(x, x if rank else wrong(x))
        else:
            bn.forward(x if rank else wrong(x))

    first, second = on_ranks(2, body)
    assert isinstance(first, hnorm.Error | TypeError) and said in str(first)
    assert isinstance(second, hnorm.Error) and "rank 0" in str(second)
    assert all(bn.num_batches_tracked == backward and not bn.gamma_grad.any() for bn in layers)


def test_different_calls_are_refused():
    def body(rank, group):
        bn = hnorm.BatchNorm(6)
        bn.set_comm(rank, 2, group.all_gather(rank), tag=rank)
        bn.forward(X)

    assert all("tag" in str(error) for error in on_ranks(2, body))


def test_other_exceptions_than_errors_pass():
    def interrupted(mine, all):
        raise KeyboardInterrupt

    bn = hnorm.BatchNorm(6)
    bn.set_comm(0, 1, interrupted)
    with pytest.raises(KeyboardInterrupt):
        bn.forward(X)
    bn.reset_comm()
    assert np.array_equal(bn.forward(X), hnorm.BatchNorm(6).forward(X))


def test_messages_may_be_kept_and_keep_their_length():
    kept = []

    def wrong(mine, all):
        kept.append((mine, all))
        all[:] = bytes(mine) + b"more"

    bn = hnorm.BatchNorm(6)
    bn.set_comm(0, 1, wrong)
    with pytest.raises(hnorm.Error) as error:
        bn.forward(X)
    assert isinstance(error.value.__cause__, ValueError)
    del bn
    gc.collect()
    assert len(kept[0][0].tobytes()) == len(kept[0][1].tobytes()) > 0


def test_arguments_are_checked():
    bn = hnorm.BatchNorm(6)
    with pytest.raises(hnorm.Error, match="rank is 2: it must be 0 to 1"):
        bn.set_comm(2, 2, print)
    with pytest.raises(hnorm.Error, match='gradients is some: it must be "all" or "rank"'):
        bn.set_comm(0, 2, print, gradients="some")
    with pytest.raises(TypeError):
        bn.set_comm(0, 2, None)
    with pytest.raises(hnorm.Error, match="no batch norm"):
        hnorm.InstanceNorm(6).set_comm(0, 2, print)


def test_a_layer_and_its_all_gather_are_freed_together():
    class Owner:
        def __init__(self):
            self.bn = hnorm.BatchNorm(6)
            self.bn.set_comm(0, 1, self.all_gather)

        def all_gather(self, mine, all):
            all[:] = mine

    owner = Owner()
    owner.bn.forward(X)
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None


MPI = """import sys; sys.path.insert(0, sys.argv[1])
import hnorm, numpy as np
from mpi4py import MPI
from reference import random
x, rank = random((70, 6, 5)), MPI.COMM_WORLD.rank
bn, alone = hnorm.BatchNorm(6), hnorm.BatchNorm(6)
bn.set_comm(*hnorm.comm.mpi4py(MPI.COMM_WORLD))
y = bn.forward(x[32 * rank:32 * rank + 32] if rank < 2 else x[64:])
assert MPI.COMM_WORLD.size == 3 and np.array_equal(y, alone.forward(x)[32 * rank:32 * rank + 32])
assert np.array_equal(bn.running_var, alone.running_var)
"""


def test_processes_of_mpi_have_the_bits_of_one_process():
    pytest.importorskip("mpi4py")
    if not shutil.which("mpiexec"):
        pytest.skip("no mpiexec")
    command = ["mpiexec", "--allow-run-as-root", "--oversubscribe", "-n", "3", sys.executable, "-c", MPI,
               str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
