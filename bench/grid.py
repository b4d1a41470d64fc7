"""./dev bench --grid: odd shapes, for calls that take longer than they should.

A shape is odd by its channels and positions; each comes in every size. A call is held to two others: to the median of
the shapes of its size, and to plain loops (engine/plain.h), which know nothing of shapes either. Where tensors are
below 4 KB the limit is one of the call's fixed cost: what it takes beyond the plain loops."""
from collections import defaultdict

from . import estimate, report
from .rows import Row, computes

# Elements of a tensor, by the name of the size.
SIZES = {"1 KB": 250, "4 KB": 1000, "16 KB": 4000, "64 KB": 1 << 14, "512 KB": 1 << 17, "4 MB": 1 << 20,
         "16 MB": 1 << 22}
SMALL = 4096  # bytes
# N, C, S; 0 is what makes the size.
SHAPES = (
    # one channel
    (0, 1, 1), (0, 1, 2), (0, 1, 3), (0, 1, 7), (0, 1, 15), (0, 1, 49), (0, 1, 196), (1, 1, 0),
    # few channels, small planes
    (0, 2, 1), (0, 3, 1), (0, 7, 1), (0, 15, 1),
    (0, 2, 4), (0, 3, 3), (0, 3, 15), (0, 5, 9), (0, 8, 4), (0, 11, 7), (0, 15, 15),
    # few channels, large planes
    (1, 2, 0), (1, 3, 0), (1, 7, 0), (1, 15, 0), (4, 3, 0),
    # one position
    (0, 16, 1), (0, 17, 1), (0, 64, 1), (0, 1000, 1), (2, 0, 1), (16, 0, 1),
    # one sample of many channels
    (1, 0, 2), (1, 0, 3), (1, 0, 7), (1, 0, 15), (1, 0, 16), (1, 0, 49), (4, 0, 9),
    # many samples
    (0, 17, 2), (0, 64, 4), (0, 33, 7), (0, 64, 15), (0, 64, 49), (0, 16, 196),
)
OPS = ("forward", "backward")
THREADS = (1, 2)
EFFORT = (0.1, 3, 5)  # five rounds; three of calls that are so long that a round lasts over 70 ms
# What a row is held to: a title, which rows, the figure, and what it has to stay below.
KINDS = (
    ("time over the median of its size, layout and operation", lambda one: True, lambda one: one["of_median"], 3),
    ("time over the plain loops'", lambda one: one["bytes"] >= SMALL, lambda one: one["of_plain"], 1),
    (f"us beyond the plain loops', below {SMALL} bytes", lambda one: one["bytes"] < SMALL,
     lambda one: one["real_time"] - one["plain_time"], 1),
)
FAR = 3  # times a limit: no chance
WORST = 25


def shapes(size):
    """{shape: its entry of SHAPES} of a size's number of elements, within a tenth."""
    found = {}
    for shape in SHAPES:
        rest = 1
        for extent in shape:
            rest *= extent or 1
        n, c, s = (extent or round(size / rest) for extent in shape)
        if abs(n * c * s - size) <= size / 10 and n * s > 1:  # else no group has two elements
            found.setdefault(f"{n}x{c}x{s}", "x".join(str(extent or "?") for extent in shape))
    return found


def measure(library, ops, groups, layouts):
    """A dictionary a row. Rows that miss a limit, but not by far, are measured once more, and all rounds count: among
    thousands some look slow by chance."""
    rows = [{"size": size, "oddness": oddness, "row": f"{op}/{group}/{layout}/f32/{shape}", "threads": threads}
            for size, elements in SIZES.items() for shape, oddness in shapes(elements).items()
            for layout in layouts for op in ops for group in groups if computes(shape, group) for threads in THREADS]
    _time(library, rows, "grid")
    _compare(rows)
    near = [one for one in rows if any(limit <= value(one) < FAR * limit for _, of, value, limit in KINDS if of(one))]
    _time(library, near, "grid, once more")
    _compare(rows)
    return [{name: value for name, value in one.items() if name != "seconds"} for one in rows]


def _time(library, rows, what):
    progress, opened = report.Progress(len(rows), what), None
    for one in rows:
        if one["row"] != opened:
            library.open(one["row"])
            opened = one["row"]
        library.set_threads(one["threads"])
        seconds = library.measure((library.target, "plain"), EFFORT)
        seconds = {name: one.get("seconds", {}).get(name, []) + times for name, times in seconds.items()}
        label = f"{library.target}/threads{one['threads']}"
        measured = report.entry(one["row"], label, one["size"], seconds[library.target],
                                "of_plain", estimate.ratios(seconds, library.target, "plain"))
        measured["threads"] = one["threads"]  # in place of Google Benchmark's, which counts threads that measure
        one |= measured
        one |= {"seconds": seconds, "bytes": Row(one["row"]).bytes, "plain_time": report.median(seconds["plain"]) * 1e6}
        progress.step()


def _compare(rows):
    of_kind = defaultdict(list)
    for one in rows:
        row = Row(one["row"])
        of_kind[one["size"], one["threads"], row.layout, row.op].append((one, one["real_time"] / row.elements))
    for ones in of_kind.values():
        middle = report.median(time for _, time in ones)
        for one, time in ones:
            one["of_median"] = time / middle


def summary(found):
    """The worst rows of each kind, one of each oddness: the same in another size says little more."""
    missed = set()
    for title, of, value, limit in KINDS:
        of_kind = [one for one in found if of(one)]
        by_oddness = defaultdict(list)
        for one in of_kind:
            by_oddness[one["oddness"]].append(one)
        missing = {one["name"] for one in of_kind if value(one) >= limit}
        missed |= missing
        print(f"\n{title} (limit: under {limit}): {len(missing)} of {len(of_kind)} rows miss it")
        print(f"{'NxCxS':12} {'rows that miss':>16}  {'the worst: op/group/layout/type/NxCxS':56} {'threads':>7} "
              f"{'time us':>11} {'plain us':>11} {'':>8}")
        for oddness, ones in sorted(by_oddness.items(), key=lambda item: -max(map(value, item[1])))[:WORST]:
            worst = max(ones, key=value)
            misses = f"{sum(one['name'] in missing for one in ones)} of {len(ones)}"
            print(f"{oddness:12} {misses:>16}  {worst['row']:56} {worst['threads']:7} {worst['real_time']:11.2f} "
                  f"{worst['plain_time']:11.2f} {value(worst):8.2f}")
    print(f"\n{len(missed)} of {len(found)} rows miss a limit")
