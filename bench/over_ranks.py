"""`./dev bench --ranks N`: what statistics of all processes cost: measured by over_ranks.cpp, and on paper."""
import math
import os
import resource
import statistics
import subprocess
import time
from collections import defaultdict

# Runs of the program, and rounds in each.
THOROUGH, QUICK = (5, 9), (2, 5)
# A process that waits for the other waits for what runs in its place: a run counts as quiet if
# other programs used at most this share of the cores. There are so many tries for each run, and the
# quietest are taken.
QUIET, TRIES = 0.03, 3
PAPER_CHANNELS, PAPER_RANKS = (64, 2048), (2, 8, 64, 512, 4096)
CHUNKS = 4  # sums that a rank sends on paper
ASSUMED = (10e-6, 10e9)  # seconds, bytes a second: a network, which is not measured here


def run(program, ranks, rounds):
    command = ["mpiexec.openmpi", "--allow-run-as-root", "--oversubscribe", "-n", str(ranks), str(program), str(rounds)]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if output.returncode:
        raise RuntimeError(f"{' '.join(command)} has failed with {output.returncode}")
    return [line.split("\t") for line in output.stdout.splitlines()]


def busy_seconds():
    """Of all cores: by all programs, and by those that this one has run."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, interrupts, soft, steal = map(int, stat.readline().split()[1:9])
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (user + nice + system + interrupts + soft + steal) / os.sysconf("SC_CLK_TCK"), own.ru_utime + own.ru_stime


def quietest_runs(program, ranks, quick, note):
    """The lines of some runs."""
    count, rounds = QUICK if quick else THOROUGH
    runs = []  # (share of other programs, lines)
    while len(runs) < count * TRIES and sum(share <= QUIET for share, _ in runs) < count:
        start, (all_before, own_before) = time.monotonic(), busy_seconds()
        lines = run(program, ranks, rounds)
        all_after, own_after = busy_seconds()
        cores = (time.monotonic() - start) * os.cpu_count()
        share = max(0, (all_after - all_before) - (own_after - own_before)) / cores
        note(f"run {len(runs) + 1} by {ranks} processes: other programs used {share:.0%} of the cores")
        runs.append((share, lines))
    runs = sorted(runs, key=lambda a_run: a_run[0])[:count]
    note(f"the {count} quietest: others used up to {runs[-1][0]:.0%}")
    return [lines for _, lines in runs]


def spread(values, digits=3):
    """Of seconds, in ms."""
    low, middle, high = (f"{value * 1e3:.{digits}g}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low} to {high})"


def print_rows(rows):
    print("| N, C, H, W | step | local, ms | shared, ms | shared over local | rounds | bytes a process |")
    print("|---|---|---|---|---|---|---|")
    for (shape, step), runs in rows.items():
        local, shared = ([float(run[i]) for run in runs] for i in (0, 1))
        over = [b / a for a, b in zip(local, shared)]
        print(f"| {shape} | {step} | {spread(local)} | {spread(shared)} | {statistics.median(over):.2f} "
              f"({min(over):.2f} to {max(over):.2f}) | {runs[0][2]} | {int(runs[0][3]):,} |")


def print_lines(lines):
    for wanted in ("forward", "backward"):
        of_step = {key: runs for key, runs in lines.items() if key[1] == wanted}
        rounds = len(next(iter(of_step.values()))[0]) // 2
        parts = [part for i in range(1, rounds + 1) for part in (f"to round {i}", f"round {i}")] + ["after it"]
        print(f"\n| N, C, H, W | step | process | {' | '.join(parts)} |\n|{'---|' * (3 + len(parts))}")
        for (shape, step, rank), runs in of_step.items():
            medians = [statistics.median(float(run[i]) for run in runs) * 1e6 for i in range(len(parts))]
            print(f"| {shape} | {step} | {rank} | {' | '.join(f'{median:.4g}' for median in medians)} |")


def print_gathers(gathers):
    print("\n| bytes a process | us, all-gather |\n|---|---|")
    for size, runs in gathers.items():
        low, middle, high = min(runs) * 1e6, statistics.median(runs) * 1e6, max(runs) * 1e6
        print(f"| {int(size):,} | {middle:.3g} ({low:.3g} to {high:.3g}) |")


def bytes_of_step(channels, ranks):
    """What a rank sends in forward and in backward: the rounds of docs/ranks.md, of planes of class small."""
    rows = max(math.ceil(48 / ranks), 1)
    forward = [64, 8 + 16 * channels * rows, 8 + 16 * channels * CHUNKS]
    backward = [64, 8 + 16 * channels * CHUNKS]
    return forward + backward


def gather_time(size, ranks, latency, bandwidth):
    """The faster of a ring and of recursive doubling. Both receive what all other ranks send."""
    received = (ranks - 1) * size / bandwidth
    return min(ranks - 1, math.ceil(math.log2(ranks))) * latency + received


def tree_time(size, ranks, latency, bandwidth):
    """Up a tree and down again."""
    return 2 * math.ceil(math.log2(ranks)) * (latency + size / bandwidth)


def print_paper(latency, bandwidth, what):
    print(f"\nOn paper, with {latency * 1e6:.2g} us and {bandwidth / 1e9:.2g} GB/s ({what}); all times in ms a step:")
    print("\n| channels | ranks | all-gathers | a tree of merged moments | a rank receives, MB |")
    print("|---|---|---|---|---|")
    for channels in PAPER_CHANNELS:
        for ranks in PAPER_RANKS:
            messages = bytes_of_step(channels, ranks)
            gathers = sum(gather_time(size, ranks, latency, bandwidth) for size in messages)
            # Count, mean and M2 forward, the two sums backward: in double.
            tree = sum(tree_time(size * channels, ranks, latency, bandwidth) for size in (24, 16))
            print(f"| {channels} | {ranks:,} | {gathers * 1e3:.3g} | {tree * 1e3:.3g} | "
                  f"{(ranks - 1) * sum(messages) / 1e6:.3g} |")


def most_ranks(local, message, latency, bandwidth):
    """The number of ranks whose all-gathers take as long as the local step."""
    def takes(ranks):
        return sum(gather_time(size, ranks, latency, bandwidth) for size in message)

    ranks = 2
    while takes(ranks) < local and ranks < 1 << 20:
        ranks = math.ceil(ranks * 1.01)
    return ranks


def print_most_ranks(rows):
    latency, bandwidth = ASSUMED
    print("\n| N, C, H, W | local step, ms | a rank sends, bytes | ranks |\n|---|---|---|---|")
    for shape in dict.fromkeys(shape for shape, _ in rows):
        extents = [int(extent) for extent in shape.split(", ")]
        local = sum(statistics.median(float(run[0]) for run in rows[shape, step]) for step in ("forward", "backward"))
        sums = int(rows[shape, "backward"][0][3]) - 64
        row = 8 + 4 * extents[1] * (4 if len(extents) > 2 else 1)  # of the probe: many ranks have one or none
        message = [64, row, sums, 64, sums]
        print(f"| {shape} | {local * 1e3:.2g} | {sum(message):,} | "
              f"{most_ranks(local, message, latency, bandwidth):.2g} |")


def measure(build, ranks, quick, note):
    found = {kind: defaultdict(list) for kind in ("row", "line", "gather")}
    for lines in quietest_runs(build / "bin/over_ranks", ranks, quick, note):
        for kind, *fields in lines:
            keys = {"row": 2, "line": 3, "gather": 1}[kind]
            key = tuple(fields[:keys]) if keys > 1 else fields[0]
            found[kind][key].append(fields[keys:] if keys > 1 else float(fields[1]))
    print_rows(found["row"])
    print_lines(found["line"])
    print_gathers(found["gather"])
    times = {int(size): statistics.median(runs) for size, runs in found["gather"].items()}
    latency, largest = times[64], 1 << 20
    bandwidth = (ranks - 1) * largest / (times[largest] - latency)
    print_paper(latency, bandwidth, f"measured between {ranks} processes here")
    print_paper(*ASSUMED, "assumed, a network")
    print_most_ranks(found["row"])
