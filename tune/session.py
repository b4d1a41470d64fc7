"""One run of the tuner: the search for values, slot by slot. validation.py has what decides about them."""
import hashlib
import json
import math
import time
from collections import Counter

from . import search
from .bits import rows_for_bits
from .journal import Failures, open_storage
from .measuring import Measuring
from .process import BuildError, brief
from .proof import CHANGED_KERNELS
from .space import Stopped
from .uses import Uses
from .validation import Validation
from .wholes import Wholes

BATCH = 6  # candidates compiled together, then measured in one program
FIRST_BATCH = 3  # of a slot: other targets' values, so that every slot has its turn before the time is over
SEARCH_ROWS = 4  # rows a candidate is searched with; validation takes more
SEARCH_EFFORT = (0.04, 4, 40)  # seconds a row and contender, least rounds, most
# How often each tier of slots gets a batch, in turn: see uses.py. After these passes all tiers take
# turns.
PASSES = (1, 1, 2, 1, 2, 3)


class Session:
    def __init__(self, schedule, builder, rows, main_rows, only, journal, machine, conditions, deadline, rebuild,
                 progress, seed, other_schedules):
        """main_rows: of the main operations, or of those that the list names. rebuild(changed): seconds that the
        library takes with new values of so many kernels."""
        self.schedule, self.space, self.builder = schedule, schedule.space, builder
        self.machine, self.conditions, self.progress = machine, conditions, progress
        self.rebuild, self.seed, self.other_schedules = rebuild, seed, other_schedules
        self.started, self.deadline = time.time(), deadline
        self._plan(rebuild())
        self.measuring = Measuring(builder, progress, self.final_end)
        self.storage = open_storage(journal, self.measuring.patiently, progress.warn)
        conditions = hashlib.sha256(json.dumps([machine, builder.version]).encode()).hexdigest()[:12]
        self.failures = self.measuring.failures = Failures(self.storage, conditions)
        progress.note(f"asking the runtime which kernels {len(rows)} rows call")
        self.uses = Uses(schedule, builder, rows, main_rows)
        self.tier = self.uses.tier
        self.slots = [slot for slot in self.uses.slots if only is None or slot.kernel in only]
        if not self.slots:
            raise Stopped("no kernel is left to tune: the rows call none of those that --kernel names")
        self.in_file = {slot: schedule.point(slot) for slot in schedule.manifest.slots()}
        self.measuring.base = dict(self.in_file)
        self.bit_rows = rows_for_bits(builder, self.slots)
        self.given_up = {}  # {slot: why}: those of which the values in use do not run either

    def _plan(self, rebuild_seconds):
        """Of the time: validation, and the comparison of the whole file, and the rebuild that follows."""
        left, self.final_end = self.deadline - self.started, self.deadline - rebuild_seconds
        self.search_end, self.validation_end = self.final_end - 0.32 * left, self.final_end - 0.12 * left

    @property
    def base(self):
        return self.measuring.base

    # ---- search

    def hints(self, slot):
        """Points worth trying first: the untuned default, the file's values, and other targets'."""
        hints = [self.space.default(slot), self.in_file[slot]]
        for other in self.other_schedules:
            hints.append(self.space.nearest(slot, other.point(slot)))
        unique = []
        for hint in hints:
            if hint not in unique:
                unique.append(hint)
        return unique

    def run_search(self):
        self.progress.note("compiling the kernels with the values in use")
        failures = self.measuring.compile([(slot, self.base[slot]) for slot in self.slots if self.tier[slot] < 3])
        if failures:
            raise next(iter(failures.values()))
        self.wholes = Wholes(self)
        self.wholes.begin_with_the_best()
        if len(self.wholes.taken) > CHANGED_KERNELS:
            self._plan(self.rebuild(len(self.wholes.taken)))
        self.searches = {
            slot: search.Search(self.storage, slot, self.space, self.base[slot], self.uses.rows_for(slot, SEARCH_ROWS),
                                [self.machine, self.schedule.target], self.hints(slot), self.seed, self.failures)
            for slot in self.slots
        }
        already = sum(s.tried for s in self.searches.values())
        if already:
            self.progress.note(f"going on from {already} candidates of an earlier run")
        self.wholes.tell(self.searches)
        try:
            for tier, batches in self._passes():
                for slot in (slot for slot in self.slots if self.tier[slot] == tier and slot not in self.given_up):
                    if self.searches[slot].tried < FIRST_BATCH + (batches - 1) * BATCH:
                        self._turn(self.searches[slot], tier, FIRST_BATCH if batches == 1 else BATCH)
        except Stopped:
            pass

    def _passes(self):
        batches = Counter()
        tiers = sorted({self.tier[slot] for slot in self.slots})
        passes = [tier for tier in PASSES if tier in tiers]
        while True:
            before = sum(s.tried for s in self.searches.values())
            for tier in passes:
                batches[tier] += 1
                yield tier, batches[tier]
            passes = tiers
            if len(batches) == len(tiers) and sum(s.tried for s in self.searches.values()) == before:
                return  # every point of every space has been tried

    def _turn(self, one, tier, count):
        try:
            self._batch(one, tier, count)
        except BuildError as error:
            self.give_up(one.slot, error)

    def give_up(self, slot, error):
        """Its values in use fail as well: nothing can be compared with them."""
        self.given_up[slot] = brief(error)
        self.progress.warn(f"{slot} is left as it is: the values in use do not run either: {brief(error)}")

    def _batch(self, one, tier, count):
        if time.time() >= self.search_end:
            raise Stopped("the time for the search is over")
        slot = one.slot
        self.progress.working(slot, tier, one.gain(), "compiling")
        proposals = one.propose(count)
        if not proposals:
            return
        points = {f"candidate_{i}": (trial, point) for i, (trial, point) in enumerate(proposals, 1)}
        self.measuring.compile([(slot, point) for _, point in points.values()])
        compiled = {name: point for name, (_, point) in points.items() if not self.failures.of(slot, point)}
        self.progress.working(slot, tier, one.gain(), "measuring")
        refused = self.measuring.check_bits(slot, compiled, self.bit_rows[slot]) if compiled else {}
        contenders = {name: {slot: point} for name, point in compiled.items() if name not in refused}
        best = one.best()
        if best and contenders:  # it runs along: chance does not keep it on top
            contenders["best"] = {slot: best[0][0]}
        found, _ = self.measuring.compare(contenders, one.rows, SEARCH_EFFORT) if contenders else ({}, {})
        for name, (trial, point) in points.items():
            one.tell(trial, found.get(name), self.failures.of(slot, point))
        if "best" in found:
            one.tell_again(best[0][0], found["best"])
        self.progress.tried(len(points))
        after = one.best()
        if after and (not best or after[0][0] != best[0][0]):
            self.progress.found(slot, math.exp(after[0][1]), after[0][0])

    # ---- what follows

    def validate(self):
        """The new values that hold up in measurements of their own, {slot: (point, interval)}."""
        self.validation = Validation(self)
        return self.validation.validate()

    def final(self, accepted):
        """The values that stay, and {row: {what: interval of the new file's speed over it}}."""
        return self.validation.final(accepted)
