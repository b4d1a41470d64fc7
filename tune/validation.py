"""What decides about values: measurements apart from the search's, kernel by kernel, then of the whole file."""
import time

from bench import estimate

from . import search
from .build import BASE
from .process import BuildError

ROWS = 12  # of a kernel
# Short first, which settles great differences; long where that leaves doubt.
SHORT_EFFORT, LONG_EFFORT = (0.04, 7, 40), (0.25, 15, 200)
OTHERS_EFFORT = (0.1, 9, 60)
CLOSE = 0.03  # scores nearer than this to the best are measured again before one is chosen
ATTEMPTS = 5  # at a whole file without a slower row; the last ones take no new values
MANY = 6  # other points that may take the place of one that makes rows slower
# Values so much faster in the mean replace bad ones. A row may then be slower than it was with
# those, but not than with the untuned default.
GREAT = 1.10


class Validation:
    def __init__(self, session):
        self.s, self.measuring, self.progress = session, session.measuring, session.progress

    def validate(self):
        s = self.s
        promising = [slot for slot in s.slots if s.searches[slot].gain() > 1.01 and slot not in s.given_up]
        promising.sort(key=lambda slot: (s.tier[slot], -s.searches[slot].gain()))
        accepted = {}
        queue = [(slot, None) for slot in promising]
        while queue:
            if time.time() >= s.validation_end:
                self.progress.note(f"no time is left to validate {len(queue)} kernels: they keep their values")
                break
            slot, point = queue.pop(0)
            if slot in accepted or slot in s.given_up:
                continue
            self.progress.validating(slot, len(queue))
            try:
                found = self._of_slot(slot, point)
            except BuildError as error:
                s.give_up(slot, error)
                continue
            if found:
                accepted[slot] = found
                # What helped a kernel may help those that differ from it by the type or by a
                # residual alone.
                queue += [(other, p) for other in self._related(slot)
                          if (p := s.space.nearest(other, found[0])) != s.base[other]]
        return accepted

    def _of_slot(self, slot, point):
        """(point, interval) of the best that is proven, or None. point: of another slot's search."""
        if point and (self.s.failures.of(slot, point) or self._refused(slot, point)):
            return None
        for candidate in [point] if point else self._best_of(self.s.searches[slot]):
            interval, better = self._validated(slot, candidate)
            if better:
                return candidate, interval
            if not interval or interval[0] < 1.01 or time.time() >= self.s.validation_end:
                return None
        return None

    def _refused(self, slot, point):
        """Of a point of another slot's search."""
        return self.measuring.compile([(slot, point)]) or self.measuring.check_bits(
            slot, {"candidate": point}, self.s.bit_rows[slot])

    def _best_of(self, one):
        """The search's best points, best first. Its figures are few, and the highest were chosen for being high:
        those near the best are measured again. The others may still serve where the best makes a row slower."""
        best = one.best(3)
        near = [point for point, score in best if score > best[0][1] - CLOSE]
        others = [point for point, _ in best if point not in near]
        if len(near) > 1:
            names = [f"candidate_{i}" for i in range(len(near))]
            found, _ = self.measuring.compare({name: {one.slot: point} for name, point in zip(names, near)}, one.rows,
                                              (0.1, 7, 100))
            order = sorted((pair for pair in zip(names, near) if pair[0] in found),
                           key=lambda pair: -search.score(found[pair[0]]))
            near = [point for _, point in order]
        return near + others

    def _validated(self, slot, point):
        rows = self.s.uses.rows_for(slot, ROWS)
        for effort, enough in ((SHORT_EFFORT, 1.05), (LONG_EFFORT, 1.005)):
            found, failed = self.measuring.compare({"candidate": {slot: point}}, rows, effort)
            if failed:
                self.s.searches[slot].note_validation(point, None, failed["candidate"])
                return None, False
            ratios = found["candidate"]
            interval, better = estimate.mean_interval(ratios), estimate.proven_better(ratios, enough)
            if better or interval[2] < 1.005:
                break
        slower = [row for row, of_row in zip(rows, ratios) if not estimate.not_slower(of_row)]
        if not better and interval[0] > GREAT:
            better = not self._slower_than_untuned(slot, point, slower)
        if better:
            verdict = "taken"
        elif slower and interval[0] > 1.005:
            verdict = f"slower at {slower[0]}: old values kept"
        else:
            verdict = "not proven: old values kept"
        self.progress.validated(slot, point, interval, verdict)
        self.s.searches[slot].note_validation(point, interval, verdict)
        return interval, better

    def _slower_than_untuned(self, slot, point, rows):
        untuned = self.s.space.default(slot)
        if untuned in (point, self.s.base[slot]):
            return untuned != point
        found = self.measuring.measure({"candidate": {slot: point}, "untuned": {slot: untuned}}, rows, LONG_EFFORT)
        return any(_slower(seconds, "untuned", "candidate") for seconds in found.values())

    def _related(self, slot):
        kernels = self.s.schedule.manifest.kernels
        same = [name for name, kernel in kernels.items() if kernel["generator"] == kernels[slot.kernel]["generator"]
                and kernel["template"] == kernels[slot.kernel]["template"]
                and kernel["parameters"].get("measured") == kernels[slot.kernel]["parameters"].get("measured")]
        return [other for other in self.s.slots
                if other != slot and other.kernel in same and other.planes == slot.planes]

    # ---- the whole file

    def final(self, accepted):
        """The old file against the new, row by row. Where a row is slower, the kernel that makes it so gets values
        that are faster everywhere, if the search knows any, else what it had before. Returns the values that stay, and
        {row: {what: interval of the new file's speed over it}}."""
        self.before = self.s.wholes.taken
        accepted = self.before | accepted
        self.measuring.base = dict(self.s.in_file)
        rows = self.s.uses.of_file()
        found = {}
        for attempt in range(ATTEMPTS):
            concerned = [row for row in rows if any(slot in accepted for slot in self.s.uses.of[row])]
            if not concerned:
                break
            slower = self._slower_rows([row for row in concerned if row not in found], accepted, found)
            if slower is None:
                self.progress.warn("the new values do not run together: the file stays as it is")
                break
            if not slower:
                self._say_traded(found)
                return accepted, {row: _speeds(found[row]) for row in concerned}
            culprits = self._culprits(slower, accepted)
            for slot in culprits:
                accepted = self._without(slot, slower, accepted, attempt < ATTEMPTS - 2)
            found = {row: seconds for row, seconds in found.items() if not culprits & set(self.s.uses.of[row])}
        return {}, {}

    def _without(self, slot, slower, accepted, may_be_new):
        """With others of the search's values for the slot, else those that the search began with, else the file's."""
        other = self._replacement(slot, slower, accepted) if may_be_new else None
        if not other and slot in self.before and self.before[slot][0] != accepted[slot][0]:
            other = self.before[slot]
        accepted = {one: value for one, value in accepted.items() if one != slot}
        if other:
            accepted[slot] = other
        self.progress.warn(f"{slot} made {len(slower)} rows slower, as {slower[0]}: "
                           f"{'other values' if other else 'the old values'} instead")
        return accepted

    def _slower_rows(self, rows, accepted, found):
        """Measures rows into `found`; returns those proven slower than with the old file, twice: of many rows chance
        makes some look slow. None where the new values do not run."""
        if not rows:
            return []
        called = {slot for row in rows for slot in self.s.uses.of[row]}
        files = {"tuned": _points(accepted), "untuned": {slot: self.s.space.default(slot) for slot in called}}
        self.progress.note(f"the new values against the old ones: {len(rows)} rows")
        # Half of what is left, so that rows may be measured again.
        left = max(self.s.final_end - time.time(), 20)
        slower, short = rows, (min(0.3, left / 2 / (4 * len(rows))), 7, 100)
        for effort in (short, (0.3, 15, 200)):
            measured, _ = self.measuring.apart(
                files, lambda some, rows=slower, effort=effort: dict.fromkeys(
                    some, self.measuring.measure(some, rows, effort, "floor")))
            if "tuned" not in measured:
                return None
            found |= measured["tuned"]
            slower = self._of_slower([row for row in slower if _slower(found[row], BASE, "tuned")], found)
            if not slower:
                break
        return slower

    def _of_slower(self, rows, found):
        """A file that is far slower in the mean is no measure of single rows: there the untuned default is."""
        if not rows or not all("untuned" in seconds for seconds in found.values()):
            return rows
        low = estimate.mean_interval([estimate.ratios(seconds, BASE, "tuned") for seconds in found.values()])[0]
        if low <= GREAT:
            return rows
        return [row for row in rows if _slower(found[row], "untuned", "tuned")]

    def _say_traded(self, found):
        of_row = {row: _speeds(seconds)["before"] for row, seconds in found.items() if _slower(seconds, BASE, "tuned")}
        if of_row:
            worst = min(of_row, key=lambda row: of_row[row][1])
            self.progress.warn(f"{len(of_row)} rows are slower than with the file before, which is bad as a whole, and "
                               f"not slower than untuned: {worst} by {1 - of_row[worst][1]:.0%}, others by less")

    def _culprits(self, slower, accepted):
        """The one changed kernel without whose new values the rows are no longer slower; all that they call, if it
        is not one."""
        changed = sorted({slot for row in slower for slot in self.s.uses.of[row] if slot in accepted})
        if len(changed) == 1:
            return set(changed)
        without = {f"without_{i}": {s: p for s, p in _points(accepted).items() if s != slot}
                   for i, slot in enumerate(changed)}
        found, _ = self.measuring.compare(without, slower, OTHERS_EFFORT)
        mended = {slot: search.score(found[name]) for slot, name in zip(changed, without)
                  if name in found and all(estimate.interval(row)[2] >= estimate.NOTICED for row in found[name])}
        return {max(mended, key=mended.get)} if mended else set(changed)

    def _replacement(self, slot, slower, accepted):
        """(point, interval) of the best of the search's other points that does not make those rows slower, or None."""
        others = [point for point, _ in self.s.searches[slot].best(MANY) if point != accepted[slot][0]]
        if not others:
            return None
        rows = list(dict.fromkeys([*slower, *self.s.uses.rows_for(slot, ROWS)]))
        contenders = {f"other_{i}": _points(accepted) | {slot: point} for i, point in enumerate(others)}
        found, _ = self.measuring.compare(contenders, rows, OTHERS_EFFORT)
        better = {name: estimate.mean_interval(ratios) for name, ratios in found.items()
                  if estimate.proven_better(ratios)}
        if not better:
            return None
        best = max(better, key=lambda name: better[name][1])
        return others[int(best.removeprefix("other_"))], better[best]


def _points(accepted):
    return {slot: point for slot, (point, _) in accepted.items()}


def _speeds(seconds):
    names = {"before": BASE, "untuned": "untuned", "floor": "floor"}
    return {name: estimate.interval(estimate.ratios(seconds, contender, "tuned"))
            for name, contender in names.items() if contender in seconds}


def _slower(seconds, than, name):
    return estimate.interval(estimate.ratios(seconds, than, name))[2] < estimate.NOTICED
