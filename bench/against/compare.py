"""Times the library beside that of a commit, or holds it to a file of --json, and prints a verdict for each row."""
import json
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from bench import estimate, report
from bench.answers import answers
from bench.rows import ROOT

from . import decision
from .reference import Reference

# After so many looks in all, rows are decided upon; those that are undecided get more.
LOOKS, QUICK_LOOKS = (8, 16, 32, 64, 128), (8, 16, 32)


def is_file(against):
    return Path(against).is_file()


def against_commit(hnorm, rows, against, build, quick, note):
    """Entries of a verdict each. hnorm: the library as it is built."""
    target, rows = next(iter(hnorm.labels)), [row for row in rows if not row.startswith("copy/")]
    libraries = Path(hnorm.path), Reference(against, build, target, note).library()
    looks = QUICK_LOOKS if quick else LOOKS
    levels = decision.Levels(len(rows), len(looks))
    found = {row: [] for row in rows}  # (seconds, how many times as fast) by look
    verdicts = dict.fromkeys(rows, decision.UNDECIDED)
    for done, until in zip((0, *looks), looks):
        left = [row for row, verdict in verdicts.items() if verdict == decision.UNDECIDED]
        if not left:
            break
        progress = report.Progress(len(left) * (until - done), f"looks {done + 1} to {until}")
        for _ in range(until - done):
            for row, *one in look(libraries, left, target):
                found[row].append(one)
                progress.step()
        for row in left:
            seconds, ratios = zip(*found[row])
            verdicts[row] = decision.verdict(ratios, report.median(seconds), levels)
    entries = []
    for row in rows:
        seconds, ratios = zip(*found[row])
        entries.append(_entry(row, target, seconds, len(ratios), verdicts[row],
                              estimate.interval(ratios, levels.same)))
    return entries


def look(libraries, rows, target):
    """(row, seconds, how many times as fast) of each."""
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(folder) / f"{i}.so" for i in range(len(libraries))]
        for library, copy in zip(libraries, copies):
            shutil.copy(library, copy)
        yield from answers([sys.executable, "-m", "bench.against.look", *copies, target], rows,
                           "a look at the two libraries", cwd=ROOT)


def against_file(found, context, path, note):
    """found: this run's entries, beside the floor; context: its."""
    document = _read(path)
    for name in ("cpu_name", "hnorm_threads", "device_name"):
        before, now = document["context"].get(name, ""), context.get(name, "")
        if before != now:
            raise ValueError(f"--against is '{path}': its {name} is '{before}', and here it is '{now}': such times "
                             "cannot be compared")
    note("a file's times are of another run: verdicts are by ratios to the copy, and weaker than those of "
         "--against COMMIT, which takes turns")
    before = {entry["name"]: entry for entry in document["benchmarks"] if "of_floor" in entry}
    entries = []
    for entry in found:
        if "/copy/" in entry["name"] or "/peer/" in entry["name"]:
            continue
        if entry["name"] not in before:
            note(f"{entry['name']}: the file does not have it")
            continue
        verdict, interval = decision.of_files(_of_floor(entry), _of_floor(before[entry["name"]]),
                                              entry["real_time"] * 1e-6)
        row = entry["name"].rsplit("/", 2)[0]
        seconds = [entry["real_time"] * 1e-6]
        entries.append(_entry(row, context["hnorm_target"], seconds, entry["rounds"], verdict, interval))
    if not entries:
        raise ValueError(f"--against is '{path}': it has none of the rows that were timed")
    return entries


def _read(path):
    try:
        document = json.loads(Path(path).read_text())
        document["context"].get, document["benchmarks"][0]["name"]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"--against is '{path}': it is no file of ./dev bench --json") from error
    return document


def _of_floor(entry):
    return entry["of_floor_lo"], entry["of_floor"], entry["of_floor_hi"]


def _entry(row, target, seconds, looks, verdict, interval):
    return report.entry(row, f"{target}/against", "", seconds, "of_before", [1]) | {
        "of_before_lo": interval[0], "of_before": interval[1], "of_before_hi": interval[2], "rounds": looks,
        "verdict": verdict}


def summary(entries, what):
    """Prints the rows, those that differ at the end, and how many there are of each verdict. The exit status."""
    order = (decision.SAME, decision.UNDECIDED, decision.FASTER, decision.SLOWER)
    print(f"\n{'op/group/layout/type/shape':64} {'time':>12} {'times as fast':>14}  {'interval':16}  looks  verdict")
    for entry in sorted(entries, key=lambda entry: order.index(entry["verdict"])):
        row = entry["name"].rsplit("/", 2)[0]
        print(f"{row:64} {entry['real_time']:9.1f} us {entry['of_before']:14.3f}  "
              f"{entry['of_before_lo']:.3f} to {entry['of_before_hi']:.3f}   {entry['rounds']:6}  {entry['verdict']}")
    count = Counter(entry["verdict"] for entry in entries)
    print(f"\nagainst {what}: " + ", ".join(f"{count[verdict]} {verdict}" for verdict in reversed(order)) +
          f" (the same: within {1 - decision.BOUND:.0%} or {decision.LEAST * 1e9:.0f} ns a call)")
    return decision.exit_status(count.keys())
