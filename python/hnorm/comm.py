"""The all-gather that layers over several processes need, by torch.distributed and by mpi4py.

    bn = hnorm.BatchNorm(64)
    bn.set_comm(*hnorm.comm.torch_distributed())
    bn.forward(x)    # on every process: statistics of all samples
"""
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Comm", "mpi4py", "torch_distributed"]


class Comm(NamedTuple):
    """The first arguments of set_comm: the place of this process, the number of processes, and their all-gather."""

    rank: int
    ranks: int
    all_gather: Callable[[memoryview, memoryview], object]


def torch_distributed(group: Any = None) -> Comm:
    """The processes of a group of torch.distributed; None is all. Its backend must take tensors on the CPU, as Gloo."""
    import torch
    import torch.distributed as dist

    def all_gather(mine: memoryview, all: memoryview) -> None:
        of_all, of_mine = (torch.frombuffer(memory, dtype=torch.uint8) for memory in (all, mine))
        dist.all_gather_into_tensor(of_all, of_mine, group)

    return Comm(dist.get_rank(group), dist.get_world_size(group), all_gather)


def mpi4py(comm: Any) -> Comm:
    """The processes of a communicator of mpi4py, which all of them call this with. hnorm uses a duplicate of it."""
    from mpi4py import MPI

    own = comm.Dup()

    def all_gather(mine: memoryview, all: memoryview) -> None:
        own.Allgather([mine, MPI.BYTE], [all, MPI.BYTE])

    return Comm(own.Get_rank(), own.Get_size(), all_gather)
