"""Measurements that a bad candidate cannot stop. What fails is tried apart, until it is known which candidate does not
do; what no candidate is to blame for is waited for."""
import re
import time

from bench import estimate
from bench.rows import Row

from .bits import BIT_DISPATCH
from .build import BASE
from .process import NO_SPACE, BuildError, DiskFull, Outside, brief

COMPILATION = 90  # seconds of a kernel's; it takes one or two
# A runner hangs if it says nothing about a row for so long: what it may take by far, ten times.
SILENCE, SECONDS_OF_ELEMENT = 10, 2e-9
PAUSES = (1, 2, 5, 10, 20, 30)  # seconds between trials of what fails for reasons outside


class Measuring:
    def __init__(self, builder, progress, until):
        """until: the time after which nothing is waited for."""
        self.builder, self.progress, self.until = builder, progress, until
        self.base = {}  # the values that contenders are compared with, {slot: point}
        self.failures = None  # the journal's, once it is open
        builder.patience = COMPILATION

    # ---- what comes from outside

    def patiently(self, action):
        """Does it, again and again while what hinders it comes from outside."""
        pauses, may_make_room = iter(PAUSES), True
        while True:
            try:
                return action()
            except Outside as error:
                trouble = error
            except OSError as error:
                if error.errno not in NO_SPACE:
                    raise
                trouble = DiskFull(f"the disk of {self.builder.folder} is full: free some space there")
            # Once: the action may need what it frees.
            if isinstance(trouble, DiskFull) and may_make_room and (freed := self.builder.make_room(self.base.items())):
                may_make_room = False
                self.progress.warn(f"the disk is full: {freed / 1e6:.1f} MB of kernels that are not in use are removed")
                continue
            pause = next(pauses, PAUSES[-1])
            if time.time() + pause >= self.until:
                raise trouble
            self.progress.warn(f"{trouble}; trying again in {pause} s")
            time.sleep(pause)

    def _attempt(self, action):
        def looked():
            try:
                return action()
            except BuildError as error:
                trouble = self.builder.outside(error)
                if trouble:
                    raise trouble from error
                raise
        return self.patiently(looked)

    # ---- compiling

    def compile(self, kernels):
        """kernels: (slot, point) pairs. Returns {symbol: BuildError} of those that do not compile, which are noted."""
        asked = {self.builder.symbol(slot, point): (slot, point) for slot, point in kernels}

        def action():
            failed = self.builder.compile(asked.values())
            for error in failed.values():
                trouble = self.builder.outside(error)
                if trouble:
                    raise trouble
            if len(failed) == len(asked):  # where nothing compiles any more, points may not be to blame
                self._suspect_compiler(candidates(failed))
            return failed

        def candidates(failed):
            return {symbol: asked[symbol] for symbol in failed if self.base.get(asked[symbol][0]) != asked[symbol][1]}

        failed = self.patiently(action)
        for symbol, (slot, point) in candidates(failed).items():
            self.failures.add(slot, point, f"does not compile: {brief(failed[symbol])}")
        return failed

    def _suspect_compiler(self, candidates):
        for slot, _ in list(candidates.values())[:1]:
            try:
                self.builder.compiler_works(slot, self.base[slot])
            except BuildError as error:
                raise Outside(f"the compiler fails on the values in use, too: {brief(error)}") from error

    # ---- running

    def apart(self, contenders, action):
        """contenders: {name: {slot: point}}, changes to the base. action(contenders) returns {name: result}. Where it
        fails, those that make it fail are found and noted. Returns the others' results, and {name: why}. Raises
        BuildError where base alone fails."""
        found, failed = self._apart(contenders, action)
        for name, why in failed.items():
            if len(contenders[name]) == 1:
                (slot, point), = contenders[name].items()
                self.failures.add(slot, point, why)
            self.progress.failed(name, contenders[name], why)
        return found, failed

    def _apart(self, contenders, action, blamed=False):
        try:
            return self._attempt(lambda: action(contenders)), {}
        except BuildError as error:
            if not contenders:
                raise
            if len(contenders) == 1:
                return self._alone(contenders, action, error, blamed)
            named = re.search(r"running (\S+) at ", error.output)
            first = [named[1]] if named and named[1] in contenders else list(contenders)[:len(contenders) // 2]
            self.progress.note(f"{brief(error)}: trying {'it' if len(first) == 1 else 'them'} apart")
        found, failed = {}, {}
        for some in (first, [name for name in contenders if name not in first]):
            of_some = self._apart({name: contenders[name] for name in some}, action, len(first) == 1)
            found, failed = found | of_some[0], failed | of_some[1]
        return found, failed

    def _alone(self, contenders, action, error, blamed):
        """Once may be chance, as where the system ends a program for want of memory; and an object may be broken."""
        if not blamed:
            for changes in contenders.values():
                for slot, point in changes.items():
                    self.builder.forget(slot, point)
            try:
                return self._attempt(lambda: action(contenders)), {}
            except BuildError as again:
                error = again
        self._attempt(lambda: action({}))
        return {}, dict.fromkeys(contenders, brief(error))

    def measure(self, contenders, rows, effort, *floor):
        """Returns {row: {name: seconds by round}}."""
        types = {row.split("/")[3] for row in rows}
        found = self._run(contenders, types, ["measure", *effort, *floor], rows, effort[0], effort[1])
        return {line["case"]: line["seconds"] for line in found}

    def _run(self, contenders, types, what, rows, seconds=0.0, rounds=8, **dispatch):
        base = {slot: point for slot, point in self.base.items() if slot.type in types}
        table = {BASE: base}
        for name, changes in contenders.items():
            table[name] = base | {slot: point for slot, point in changes.items() if slot.type in types}
        failures = self.compile([kernel for row in table.values() for kernel in row.items()])
        if failures:
            raise next(iter(failures.values()))
        program = self.builder.program(table, **dispatch)
        largest = max(Row(row).elements for row in rows)
        silence = SILENCE * (1 + (len(table) + 1) * (seconds + rounds * largest * SECONDS_OF_ELEMENT))
        return self.builder.rows_of(program, what, rows, silence)

    def compare(self, contenders, rows, effort):
        """Returns {name: [ratios over base, by row]}, and {name: why} of those that fail."""
        def action(some):
            found = self.measure(some, rows, effort)
            return {name: [estimate.ratios(found[row], BASE, name) for row in rows] for name in some}
        return self.apart(contenders, action)

    def check_bits(self, slot, points, rows):
        """Returns {name: why} of the contenders that do not do: whose bits differ from the base's, a defect, or that
        do not run, as where a block asks for more than a device has."""
        contenders = {name: {slot: point} for name, point in points.items()}

        def action(some):
            refused = dict.fromkeys(some)
            for line in self._run(some, {slot.type}, ["bits"], rows, **BIT_DISPATCH):
                for name in line["differing"]:
                    refused[name] = refused[name] or f"changes bits at {line['case']}: a defect of the schedule"
                for name, why in line["failed"].items():
                    refused[name] = refused[name] or f"does not run at {line['case']}: {why}"
            return refused

        found, failed = self.apart(contenders, action)
        for name, why in found.items():
            if why:
                failed[name] = why
                self.failures.add(slot, points[name], why)
                self.progress.failed(name, contenders[name], why)
        return failed
