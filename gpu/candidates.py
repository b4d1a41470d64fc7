"""Times other values of the knobs, compiled elsewhere (compile.py), beside those in use.

python -m gpu.candidates DEVICE FILE [--brief] writes the best of each kernel into FILE, anew after each row."""
import json
import sys
from collections import defaultdict
from pathlib import Path

from bench import estimate, report
from bench.answers import answers
from bench.rows import Row

from .steps import bin_folder

FOLDER = "candidates_{}"
EFFORT = ("0.02", "5", "30")  # seconds a row and contender, least rounds, most
ROWS, BIT_ROWS = 3, 3  # of a kernel
DOUBT = 0.05  # that any of a kernel's values is taken for faster by chance


def chosen(rows, uses, slot, count):
    """Those that call the kernel and as little else as possible, from the smallest tensor to the largest."""
    calling = [row for row in rows if slot in uses[row]]
    least = min((len(uses[row]) for row in calling), default=0)
    calling = sorted((row for row in calling if len(uses[row]) == least), key=lambda row: Row(row).elements)
    if len(calling) <= count:
        return calling
    return [calling[round(i * (len(calling) - 1) / (count - 1))] for i in range(count)]


def best_of(ratios, points, refused):
    """ratios: {candidate: [ratios by row]}. The best candidate's point and (low, middle, high), or None."""
    found = {name: some for name, some in ratios.items() if name not in refused and number(name) < len(points)}
    if not found:
        return None
    best = max(found, key=lambda name: estimate.mean_log(found[name]))
    return {"speed": estimate.mean_interval(found[best], 1 - DOUBT / len(found), 2000),
            "point": points[number(best)], "candidates": len(found)}


def number(name):
    return int(name.rsplit("_", 1)[1])


class Candidates:
    def __init__(self, there, brief):
        known = json.loads((there / "candidates.json").read_text())
        self.there, self.points = there, known["points"]
        rows, bit_rows = known["rows"], known["bit_rows"]
        if brief:
            rows, bit_rows = ["moments/batch/channels_first/f32/2x16x8x8"], bit_rows[:1]
        said = answers([there / "stubs", "uses"], [*rows, *bit_rows], "stubs uses")
        uses = {line["case"]: line["kernels"] for line in said}
        self.rows = {slot: some for slot in self.points if (some := chosen(rows, uses, slot, ROWS))}
        self.bit_rows = _distinct(row for slot in self.rows for row in chosen(bit_rows, uses, slot, BIT_ROWS))
        self.ratios = defaultdict(lambda: defaultdict(list))  # {slot: {candidate: [ratios by row]}}

    def measure(self):
        """After each row: its name."""
        for line in answers([self.there / "runner", "measure", *EFFORT], _distinct(sum(self.rows.values(), [])),
                            "runner measure"):
            for slot, rows in self.rows.items():
                if line["case"] in rows:
                    for name in line["seconds"].keys() - {"base"}:
                        self.ratios[slot][name].append(estimate.ratios(line["seconds"], "base", name))
            yield line["case"]

    def refused(self):
        """{candidate: why}: those with other bits than the values in use, or that fail."""
        found = {}
        for line in answers([self.there / "runner", "bits"], self.bit_rows, "runner bits"):
            for name in line["differing"]:
                found.setdefault(name, f"other bits at {line['case']}")
            for name, why in line["failed"].items():
                found.setdefault(name, f"it fails at {line['case']}: {why}")
        return found

    def found(self, refused):
        return [{"slot": slot} | best for slot, of_name in self.ratios.items()
                if (best := best_of(of_name, self.points[slot], refused))]


def _distinct(rows):
    return list(dict.fromkeys(rows))


def main(device, written, brief):
    candidates = Candidates(bin_folder() / FOLDER.format(device), brief)
    for row in candidates.measure():
        report.write(written, candidates.found({}), {"date": report.now(), "bits": "not compared yet"})
        print(row, flush=True)
    refused = candidates.refused()
    report.write(written, candidates.found(refused), {"date": report.now(), "refused": refused})
    for name, why in refused.items():
        print(f"{name} is left out: {why}")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), "--brief" in sys.argv))
