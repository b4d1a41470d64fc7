"""One run of the tuner: search, validation, the comparison of the whole file, and its writing."""
import datetime
import math
import time
from collections import Counter

from bench import estimate
from bench.rows import Row

from . import search
from .bits import BIT_DISPATCH, rows_for_bits
from .build import BASE, rows_of
from .space import Stopped

BATCH = 6  # candidates compiled together, then measured in one program
FIRST_BATCH = 3  # of a slot: other targets' values, so that every slot has its turn before the time is over
SEARCH_ROWS = 4  # rows a candidate is searched with; validation takes more
VALIDATION_ROWS = 12
SEARCH_EFFORT = (0.04, 4, 40)  # seconds a row and contender, least rounds, most
# Validation: short first, which settles great differences; long where that leaves doubt.
SHORT_EFFORT, LONG_EFFORT = (0.04, 7, 40), (0.25, 15, 200)
CLOSE = 0.03  # scores nearer than this to the best are measured again before one is chosen
ATTEMPTS = 5  # at a whole file without a slower row; the last ones take no new values
# How often each tier of slots gets a batch, in turn: see tiers(). After these passes all tiers take turns.
PASSES = (1, 1, 2, 1, 2, 3)


class Session:
    def __init__(self, schedule, builder, rows, main_rows, only, storage, machine, deadline, rebuild_seconds, progress,
                 seed, other_schedules):
        self.schedule, self.space, self.builder = schedule, schedule.space, builder
        self.machine, self.progress, self.seed, self.storage = machine, progress, seed, storage
        self.started, self.deadline = time.time(), deadline
        left = deadline - self.started
        # Of the time: validation, and the comparison of the whole file, and the rebuild that follows.
        self.search_end = deadline - rebuild_seconds - 0.32 * left
        self.validation_end = deadline - rebuild_seconds - 0.12 * left
        self.final_end = deadline - rebuild_seconds
        self.main_rows = main_rows  # of the main operations, or of those that the list names
        self.uses = self._uses(rows)
        self.slots = [slot for slot in self.tiers() if only is None or slot.kernel in only]
        if not self.slots:
            raise Stopped("no kernel is left to tune: the rows call none of those that --kernel names")
        self.base = {slot: schedule.point(slot) for slot in self.slot_names.values()}
        self.bit_rows = rows_for_bits(builder, self.slots)
        self.other_schedules = other_schedules

    # ---- what is there to tune

    def _uses(self, rows):
        self.progress.note(f"asking the runtime which kernels {len(rows)} rows call")
        self.slot_names = {str(slot): slot for slot in self.schedule.manifest.slots()}
        found = rows_of(self.builder.probe(), ["uses"], rows)
        uses = {line["case"]: [self.slot_names[name] for name in line["kernels"] if name in self.slot_names]
                for line in found}
        self.used_slots = {slot for slots in uses.values() for slot in slots}
        return uses

    def tiers(self):
        """Slots, the most important first: f32's that the main rows call; f32's others; the other types'."""
        main = {slot for row, slots in self.uses.items() if row in self.main_rows for slot in slots}
        self.tier = {slot: (1 if slot in main else 2) if slot.type == "f32" else 3 for slot in self.used_slots}
        # Among equals, the kernels that more rows call.
        calls = Counter(slot for slots in self.uses.values() for slot in slots)
        return sorted(self.used_slots, key=lambda slot: (self.tier[slot], -calls[slot], str(slot)))

    def rows_for(self, slot, count):
        """Rows that call the kernel and as little else as possible, spread from the smallest tensor to the largest."""
        calling = [row for row, slots in self.uses.items() if slot in slots]
        main = [row for row in calling if row in self.main_rows]
        calling = main or calling
        least = min(len(self.uses[row]) for row in calling)
        calling = [row for row in calling if len(self.uses[row]) == least]
        calling.sort(key=lambda row: (Row(row).elements, row))
        if len(calling) <= count:
            return calling
        return [calling[round(i * (len(calling) - 1) / (count - 1))] for i in range(count)]

    # ---- measuring

    def compile(self, kernels):
        return self.builder.compile(kernels)

    def measure(self, contenders, rows, effort, *floor):
        """contenders: {name: {slot: point}}, changes to the base. Returns {row: {name: seconds by round}}."""
        types = {row.split("/")[3] for row in rows}
        found = rows_of(self._program(contenders, types), ["measure", *effort, *floor], rows)
        return {line["case"]: line["seconds"] for line in found}

    def _program(self, contenders, types, **dispatch):
        base = {slot: point for slot, point in self.base.items() if slot.type in types}
        table = {BASE: base}
        for name, changes in contenders.items():
            table[name] = base | {slot: point for slot, point in changes.items() if slot.type in types}
        failures = self.compile([kernel for row in table.values() for kernel in row.items()])
        if failures:
            raise next(iter(failures.values()))
        return self.builder.program(table, **dispatch)

    def compare(self, contenders, rows, effort):
        """As measure(). Returns {name: [ratios over base, by row]}."""
        found = self.measure(contenders, rows, effort)
        return {name: [estimate.ratios(found[row], BASE, name) for row in rows] for name in contenders}

    def check_bits(self, slot, points):
        """Returns {name: why} of the contenders that do not do: whose bits differ from the base's, a defect, or that
        do not run, as where a block asks for more than a device has."""
        program = self._program({name: {slot: point} for name, point in points.items()}, {slot.type},
                                **BIT_DISPATCH)
        refused = {}
        for line in rows_of(program, ["bits"], self.bit_rows[slot]):
            for name in line["differing"]:
                if name not in refused:
                    refused[name] = f"changes bits at {line['case']}"
                    self.progress.warn(f"{slot}: {points[name]} {refused[name]}: a defect of the schedule")
            for name, why in line["failed"].items():
                refused.setdefault(name, f"does not run at {line['case']}: {why}")
        return refused

    # ---- search

    def hints(self, slot):
        """Points worth trying first: the untuned default, and other targets' values."""
        hints = [self.space.default(slot)]
        for other in self.other_schedules:
            hints.append(self.space.nearest(slot, other.point(slot)))
        unique = []
        for hint in hints:
            if hint not in unique:
                unique.append(hint)
        return unique

    def run_search(self):
        self.progress.note("compiling the kernels with the values in use")
        failures = self.compile([(slot, self.base[slot]) for slot in self.slots if self.tier[slot] < 3])
        if failures:
            raise next(iter(failures.values()))
        conditions = [self.machine, self.schedule.target]
        self.searches = {
            slot: search.Search(self.storage, slot, self.space, self.base[slot], self.rows_for(slot, SEARCH_ROWS),
                                conditions, self.hints(slot), self.seed)
            for slot in self.slots
        }
        already = sum(s.tried for s in self.searches.values())
        if already:
            self.progress.note(f"going on from {already} candidates of an earlier run")
        else:
            self._try_untuned()
        try:
            for tier, batches in self._passes():
                for slot in (slot for slot in self.slots if self.tier[slot] == tier):
                    if self.searches[slot].tried < FIRST_BATCH + (batches - 1) * BATCH:
                        self._batch(self.searches[slot], tier, FIRST_BATCH if batches == 1 else BATCH)
        except Stopped:
            pass

    def _try_untuned(self):
        """The default of every f32 slot at once, in place of the values in use: from a bad file one is soon back at
        a sound one. Of a row that calls several kernels each gets the whole gain: too much, but it is validated by
        itself."""
        self.progress.note("trying the untuned values of all f32 kernels")
        untuned = {slot: self.space.default(slot) for slot in self.slots if self.tier[slot] < 3}
        untuned = {slot: point for slot, point in untuned.items() if point != self.base[slot]}
        failures = self.compile(list(untuned.items()))
        untuned = {slot: point for slot, point in untuned.items() if self.builder.symbol(slot, point) not in failures}
        rows = sorted({row for slot in untuned for row in self.searches[slot].rows})
        if not rows:
            return
        found = self.measure({"untuned": untuned}, rows, SEARCH_EFFORT)
        for slot, point in untuned.items():
            ratios = [estimate.ratios(found[row], BASE, "untuned") for row in self.searches[slot].rows]
            self.searches[slot].tell_again(point, search.score(ratios))

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

    def _batch(self, one, tier, count):
        if time.time() >= self.search_end:
            raise Stopped("the time for the search is over")
        slot = one.slot
        self.progress.working(slot, tier, self._gain(one), "compiling")
        proposals = one.propose(count)
        if not proposals:
            return
        failures = self.compile([(slot, point) for _, point in proposals])
        points = {}
        for i, (trial, point) in enumerate(proposals, 1):
            failure = failures.get(self.builder.symbol(slot, point))
            if failure:
                one.tell(trial, why=str(failure)[-500:])
            else:
                points[f"candidate_{i}"] = (trial, point)
        if not points:
            return
        self.progress.working(slot, tier, self._gain(one), "measuring")
        refused = self.check_bits(slot, {name: point for name, (_, point) in points.items()})
        contenders = {name: {slot: point} for name, (_, point) in points.items() if name not in refused}
        best = one.best()
        if best:  # it runs along: chance does not keep it on top
            contenders["best"] = {slot: best[0][0]}
        found = self.compare(contenders, one.rows, SEARCH_EFFORT)
        for name, (trial, _) in points.items():
            if name in refused:
                one.tell(trial, why=refused[name])
            else:
                one.tell(trial, search.score(found[name]))
        if best:
            one.tell_again(best[0][0], search.score(found["best"]))
        self.progress.tried(len(points))
        after = one.best()
        if after and (not best or after[0][0] != best[0][0]):
            self.progress.found(slot, math.exp(after[0][1]), after[0][0])

    def _gain(self, one):
        best = one.best()
        return math.exp(best[0][1]) if best else 1.0

    # ---- validation

    def validate(self):
        """The new values that hold up in measurements of their own, {slot: (point, interval)}."""
        promising = [slot for slot in self.slots if self._gain(self.searches[slot]) > 1.01]
        promising.sort(key=lambda slot: (self.tier[slot], -self._gain(self.searches[slot])))
        accepted = {}
        queue = [(slot, None) for slot in promising]
        while queue:
            if time.time() >= self.validation_end:
                self.progress.note(f"no time is left to validate {len(queue)} kernels: they keep their values")
                break
            slot, point = queue.pop(0)
            if slot in accepted or point and self._refused(slot, point):
                continue
            self.progress.validating(slot, len(queue))
            for candidate in [point] if point else self._best_of(self.searches[slot]):
                interval, better = self._validated(slot, candidate)
                if better or interval[0] < 1.01 or time.time() >= self.validation_end:
                    break
            if better:
                accepted[slot] = (candidate, interval)
                # What helped a kernel may help those that differ from it by the type or by a residual alone.
                queue += [(other, p) for other in self._related(slot)
                          if (p := self.space.nearest(other, candidate)) != self.base[other]]
        return accepted

    def _refused(self, slot, point):
        """Of a point of another slot's search."""
        return self.compile([(slot, point)]) or self.check_bits(slot, {"candidate": point})

    def _best_of(self, one):
        """The search's best points, best first. Its figures are few, and the highest were chosen for being high:
        those near the best are measured again. The others may still serve where the best makes a row slower."""
        best = one.best(3)
        near = [point for point, score in best if score > best[0][1] - CLOSE]
        others = [point for point, _ in best if point not in near]
        if len(near) > 1:
            names = [f"candidate_{i}" for i in range(len(near))]
            found = self.compare({name: {one.slot: point} for name, point in zip(names, near)}, one.rows, (0.1, 7, 100))
            order = sorted(zip(names, near), key=lambda pair: -search.score(found[pair[0]]))
            near = [point for _, point in order]
        return near + others

    def _validated(self, slot, point):
        rows = self.rows_for(slot, VALIDATION_ROWS)
        for effort, enough in ((SHORT_EFFORT, 1.05), (LONG_EFFORT, 1.005)):
            found = self.compare({"candidate": {slot: point}}, rows, effort)["candidate"]
            interval, better = estimate.mean_interval(found), estimate.proven_better(found, enough)
            if better or interval[2] < 1.005:
                break
        self.progress.validated(slot, point, interval, better)
        return interval, better

    def _related(self, slot):
        kernels = self.schedule.manifest.kernels
        same = [name for name, kernel in kernels.items() if kernel["generator"] == kernels[slot.kernel]["generator"]
                and kernel["template"] == kernels[slot.kernel]["template"]
                and kernel["parameters"].get("measured") == kernels[slot.kernel]["parameters"].get("measured")]
        return [other for other in self.slots
                if other != slot and other.kernel in same and other.planes == slot.planes]

    # ---- the whole file

    def final(self, accepted):
        """The old file against the new, row by row. Where a row is slower, the kernel that makes it so gets values
        that are faster everywhere, if the search knows any, else its old ones. Returns the values that stay, and
        {row: {what: interval of the new file's speed over it}}."""
        main = [row for row in self.uses if row in self.main_rows and row.split("/")[3] == "f32"]
        rows = main + [row for row in self.uses if row not in main]
        found = {}
        for attempt in range(ATTEMPTS):
            concerned = [row for row in rows if any(slot in accepted for slot in self.uses[row])]
            if not concerned:
                break
            slower = self._slower_rows([row for row in concerned if row not in found], accepted, found)
            if not slower:
                return accepted, {row: _speeds(found[row]) for row in concerned}
            culprits = self._culprits(slower, accepted)
            for slot in culprits:
                other = self._replacement(slot, slower, accepted) if attempt < ATTEMPTS - 2 else None
                accepted = {one: value for one, value in accepted.items() if one != slot}
                if other:
                    accepted[slot] = other
                self.progress.warn(f"{slot} made {len(slower)} rows slower, as {slower[0]}: "
                                   f"{'the next best values' if other else 'the old values'} instead")
            found = {row: seconds for row, seconds in found.items() if not culprits & set(self.uses[row])}
        return {}, {}

    def _slower_rows(self, rows, accepted, found):
        """Measures rows into `found`; returns those proven slower than with the old file, twice: of many rows chance
        makes some look slow."""
        if not rows:
            return []
        called = {slot for row in rows for slot in self.uses[row]}
        untuned = {slot: self.space.default(slot) for slot in called}
        self.progress.note(f"the new values against the old ones: {len(rows)} rows")
        # Half of what is left, so that rows may be measured again.
        left = max(self.final_end - time.time(), 20)
        effort = (min(0.3, left / 2 / (4 * len(rows))), 7, 100)
        found |= self.measure({"tuned": _points(accepted), "untuned": untuned}, rows, effort, "floor")
        slower = [row for row in rows if _slower(found[row])]
        if slower:
            found |= self.measure({"tuned": _points(accepted), "untuned": untuned}, slower, (0.3, 15, 200), "floor")
            slower = [row for row in slower if _slower(found[row])]
        return slower

    def _culprits(self, slower, accepted):
        """The one changed kernel without whose new values the rows are no longer slower; all that they call, if it
        is not one."""
        changed = sorted({slot for row in slower for slot in self.uses[row] if slot in accepted})
        if len(changed) == 1:
            return set(changed)
        without = {f"without_{i}": {s: p for s, p in _points(accepted).items() if s != slot}
                   for i, slot in enumerate(changed)}
        found = self.compare(without, slower, (0.1, 9, 60))
        mended = {slot: search.score(rows) for slot, rows in zip(changed, found.values())
                  if all(estimate.interval(row)[2] >= estimate.NOTICED for row in rows)}
        return {max(mended, key=mended.get)} if mended else set(changed)

    def _replacement(self, slot, slower, accepted):
        """(point, interval) of the best of the search's other points that does not make those rows slower, or None."""
        others = [point for point, _ in self.searches[slot].best(BATCH) if point != accepted[slot][0]]
        if not others:
            return None
        rows = list(dict.fromkeys([*slower, *self.rows_for(slot, VALIDATION_ROWS)]))
        contenders = {f"other_{i}": _points(accepted) | {slot: point} for i, point in enumerate(others)}
        found = self.compare(contenders, rows, (0.1, 9, 60))
        better = {name: estimate.mean_interval(ratios) for name, ratios in found.items()
                  if estimate.proven_better(ratios)}
        if not better:
            return None
        best = max(better, key=lambda name: better[name][1])
        return others[int(best.removeprefix("other_"))], better[best]

    # ---- the file

    def provenance(self, accepted, compared, command, shapes):
        before = self.schedule.data.get("provenance", {})
        return {
            "method": "tuned: values proposed by Optuna's TPE, kept where measurements apart from the search proved "
                      "them faster; the others are those of the file before (docs/tuning.md)",
            **self.machine,
            "date": datetime.date.today().isoformat(),
            "command": command,
            "shapes": shapes,
            "candidates": sum(s.tried for s in self.searches.values()),
            "changed": {
                str(slot): {"speed": _rounded(interval), "from": self._differing(slot, point),
                            "candidates": self.searches[slot].tried}
                for slot, (point, interval) in sorted(accepted.items())
            },
            "speed": {
                "comment": "this file's speed over the file before, the untuned default and the copy floor, in one "
                           "run: medians between their 95% intervals",
                **{row: {name: _rounded(interval) for name, interval in speeds.items()}
                   for row, speeds in compared.items()},
            },
            "before": {name: before[name] for name in ("method", "cpu", "gpu", "date", "command", "notes")
                       if name in before},
        }

    def _differing(self, slot, point):
        return {name: value for name, value in self.base[slot].items() if point[name] != value}


def _points(accepted):
    return {slot: point for slot, (point, _) in accepted.items()}


def _speeds(seconds):
    names = {"before": BASE, "untuned": "untuned", "floor": "floor"}
    return {name: estimate.interval(estimate.ratios(seconds, contender, "tuned")) for name, contender in names.items()}


def _slower(seconds):
    return estimate.interval(estimate.ratios(seconds, BASE, "tuned"))[2] < estimate.NOTICED


def _rounded(interval):
    low, middle, high = interval
    return [round(low, 3), round(middle, 3), round(high, 3)]
