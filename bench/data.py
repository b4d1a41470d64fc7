"""./dev bench --data: the library's times on kinds of data, over those on normally distributed data.

All kinds of a row are timed in turn and in the same memory, which is filled anew before each timing: where a tensor's
pages lie makes a difference, too."""
import math
import statistics

from . import estimate, report
from .kinds import GRADIENTS, KINDS, REFERENCE, Tensor, has, numpy

OPS = ("forward", "backward")


def plan(lists, kinds):
    """{list of shapes: kinds}. lists: what was asked for, or None."""
    if numpy is None:
        raise ValueError("--data needs NumPy, which this Python does not have")
    chosen = dict.fromkeys(lists or ["data"], kinds)
    return chosen if lists or "smooth" not in kinds else chosen | {"pictures": ["smooth"]}


def entries(hnorm, row, kinds, effort, shape_list):
    """Of a row that is open. A kind's ratio is its time over the reference's in the same round: above 1 it is slow."""
    names = []
    for kind in dict.fromkeys([REFERENCE, *kinds]):
        tensor = Tensor(row, 1)
        if not has(kind, tensor):
            continue
        x = KINDS[kind if kind in KINDS else REFERENCE](tensor)
        filling = {"x": _laid_out(x, tensor)}
        if row.startswith("backward"):
            groups = tensor.groups(x)
            filling["mean"], filling["variance"] = (moment(groups, (1, 2), "d") for moment in (numpy.mean, numpy.var))
            filling["dy"] = _laid_out((GRADIENTS | KINDS)[kind](Tensor(row, 2)), tensor)
        hnorm.add(kind, _after_filling(hnorm, filling))
        names.append(kind)
    seconds = hnorm.measure(names, effort)
    return [report.entry(row, f"{hnorm.target}/{kind}", shape_list, times, "over_normal",
                         estimate.ratios(seconds, kind, REFERENCE)) for kind, times in seconds.items()]


def _laid_out(x, tensor):
    return numpy.ascontiguousarray(x.transpose(0, 2, 1) if tensor.row.last else x)


def _after_filling(hnorm, filling):
    def timed(calls):
        for name, values in filling.items():
            hnorm.fill(name, values)
        hnorm.time(hnorm.target, 1)  # the caches hold what a call leaves, not what filling did
        return hnorm.time(hnorm.target, calls)

    return timed


def summary(found):
    """A line for each op and kind, the worst at the end. A kind's worst row is that whose interval begins highest: of
    many noisy medians the highest is there by chance."""
    kinds = {}
    for entry in found:
        op, *_, kind = entry["name"].split("/")
        if kind != REFERENCE:
            kinds.setdefault((op, kind), []).append(entry)
    surely = lambda entry: entry["over_normal_lo"]  # noqa: E731
    print(f"\n{'time over that on normal data':32} {'mean':>6} {'worst':>6}  95% interval    of")
    for (op, kind), of_kind in sorted(kinds.items(), key=lambda item: max(map(surely, item[1]))):
        mean = math.exp(statistics.fmean(math.log(entry["over_normal"]) for entry in of_kind))
        worst = max(of_kind, key=surely)
        print(f"{op + ', ' + kind:32} {mean:6.3f} {worst['over_normal']:6.3f}  {surely(worst):.3f} to "
              f"{worst['over_normal_hi']:.3f}  {'/'.join(worst['name'].split('/')[1:5])}")
