"""Speeds of candidates by what they execute, in the place of seconds."""
import hashlib
import itertools
import json
import math
import statistics
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.rows import GROUPS, computes

from ..bits import TUNED_OPS
from ..build import BASE
from ..process import rows_of
from .cycles import MODELS, cycles
from .trace import LLVM, Program

CHECKED = Path(__file__).parent / "checked.json"
TRUSTED = 0.7  # the least correlation with measurements by which a kernel is judged,
APART = 0.05  # differences, of logarithms of speeds, from which on its word is counted and taken
LEAST_CANDIDATES = 8  # and of how many: fewer are in order by chance too often

# One thread computes them, and the second cache holds them: the model knows neither threads nor
# caches.
SHAPES = {
    "tiny": ("64x128", "16x96x2x2"),
    "small": ("2x40x14x14", "4x64x7x7"),
    "large": ("1x3x56x56", "2x1x96x50"),
    "last": ("2x32x14x14", "1x64x10x10", "2x24x7x9"),
}
# The other knobs divide work among threads, and data among caches: they keep their values.
KNOBS = ("vector", "store_vector", "lane_block", "row_unroll", "store_unroll", "group_block", "channel_block", "sweep")


# Channels that are summed at a time: a line of the cache at least, or it would be read again, maybe
# from far; no more than the rows have.
CHANNELS = range(16, 64 + 1)


def judged_knobs(space, slot, base):
    """{knob: values}. Vectors narrower than the target's are never faster: they would flatter the correlation. A
    larger block of groups, unless the planes are tiny, may leave threads without work."""
    def judged(name, value):
        if name in space.vectors:
            return value >= space.vector
        if name == "channel_block":
            return value in CHANNELS
        return name != "group_block" or slot.planes == "tiny" or value <= base[name]

    return {name: [value for value in values if value == base[name] or judged(name, value)]
            for name, values in space.knobs(slot).items() if name in KNOBS}


def points(space, slot, base):
    """Base, and all legal points that differ from it by what the model can judge."""
    knobs = judged_knobs(space, slot, base)
    all_ = (base | dict(zip(knobs, values)) for values in itertools.product(*knobs.values()))
    return [base, *(point for point in all_ if point != base and space.problem(slot, point) is None)]


def trusted():
    """Names of the kernels whose order the model has been seen to foretell."""
    kernels = json.loads(CHECKED.read_text())["kernels"]
    return {name for name, found in kernels.items()
            if found["candidates"] >= LEAST_CANDIDATES and (found["correlation"] or 0) >= TRUSTED}


def names(points_):
    """Of a table's rows; the first is the one that measurements compare with."""
    return [BASE, *(f"candidate_{i}" for i in range(1, len(points_)))]


@dataclass
class Judged:
    code: tuple  # digests of the executed instructions, by row
    instructions: list  # by row
    cycles: dict  # {cpu: [by row]}


class Model:
    def __init__(self, schedule, builder, jobs):
        self.schedule, self.builder, self.jobs = schedule, builder, jobs
        self.architecture = schedule.data["halide_arch"]
        self.cpus = MODELS[self.architecture]
        # Cycles by CPU and digest of the code, kept from run to run.
        self.kept = builder.folder / f"cycles-{LLVM}.json"
        self.known = json.loads(self.kept.read_text()) if self.kept.exists() else {}

    def rows_by_slot(self, types):
        """{slot: (rows that call it and as little else as possible, all slots that these call)}"""
        found, named = {}, {str(slot): slot for slot in self.schedule.manifest.slots()}
        for planes, shapes in SHAPES.items():
            layout = "channels_last" if planes == "last" else "channels_first"
            cases = [f"{op}/{group}/{layout}/{type_}/{shape}" for op in (*TUNED_OPS, "backward_apply")
                     for group in GROUPS for type_ in types for shape in shapes if computes(shape, group)]
            for line in rows_of(self.builder.stubs(), ["uses"], cases):
                slots = [named[name] for name in line["kernels"] if name in named]
                for slot in slots:
                    if slot.planes == planes:
                        found.setdefault(slot, []).append((len(slots), line["case"], slots))
        return {slot: self._least(calling) for slot, calling in found.items()}

    @staticmethod
    def _least(calling):
        best = {}  # by shape
        for _, row, slots in sorted(calling):
            best.setdefault(row.split("/")[-1], (row, slots))
        return [row for row, _ in best.values()], sorted({slot for _, slots in best.values() for slot in slots})

    def program(self, slot, points_, others):
        """Links a runner whose table has a row for each of the points, which differ: names() has their names. others:
        the slots that the same calls need. Returns the program's path."""
        base = {other: self.schedule.point(other) for other in others}
        table = {name: base | {slot: point} for name, point in zip(names(points_), points_)}
        failures = self.builder.compile([kernel for row in table.values() for kernel in row.items()])
        if failures:
            raise next(iter(failures.values()))
        return self.builder.program(table)[-1]

    def judge(self, program, slot, points_, rows):
        """A Judged of each point. A kernel is called once by each row of the table that has it: by one."""
        symbols = [self.builder.symbol(slot, point) for point in points_]
        linked = Program(program, self.architecture, symbols)
        text, traces = linked.instructions(), [linked.trace(row) for row in rows]
        code = {symbol: [[text[address] for address in trace[symbol]] for trace in traces] for symbol in symbols}
        digests = {symbol: tuple(hashlib.sha256("\n".join(lines).encode()).hexdigest() for lines in of_rows)
                   for symbol, of_rows in code.items()}
        self._count({(cpu, digest): lines for symbol in symbols for digest, lines in zip(digests[symbol], code[symbol])
                     for cpu in self.cpus if f"{cpu} {digest}" not in self.known})
        return [Judged(digests[symbol], [len(lines) for lines in code[symbol]],
                       {cpu: [self.known[f"{cpu} {digest}"] for digest in digests[symbol]] for cpu in self.cpus})
                for symbol in symbols]

    def _count(self, wanted):
        """wanted: {(CPU, digest): instructions}"""
        with ThreadPoolExecutor(self.jobs) as pool:
            found = pool.map(lambda item: cycles(item[1], self.architecture, item[0][0]), wanted.items())
            self.known |= {f"{cpu} {digest}": count for (cpu, digest), count in zip(wanted, found)}
        self.kept.write_text(json.dumps(self.known))

    # Logarithms of the speed over base's, as search.score has them. Half of it is the cycles' and
    # half the instructions': docs/model.md says why.

    def score(self, base, other):
        return (self.by_cycles(base, other) + self.by_instructions(base, other)) / 2

    def speeds(self, base, other):
        """The same by row, as speeds."""
        by_row = zip(*(map(_log, base.cycles[cpu], other.cycles[cpu]) for cpu in self.cpus))
        return [math.exp((statistics.fmean(cycles) + instructions) / 2)
                for cycles, instructions in zip(by_row, map(_log, base.instructions, other.instructions))]

    def by_cycles(self, base, other):
        return statistics.fmean(_mean_log(base.cycles[cpu], other.cycles[cpu]) for cpu in self.cpus)

    @staticmethod
    def by_instructions(base, other):
        return _mean_log(base.instructions, other.instructions)


def _log(before, after):
    return math.log(before / after)


def _mean_log(before, after):
    return statistics.fmean(map(_log, before, after))
