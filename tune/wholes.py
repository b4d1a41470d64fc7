"""Whole files in the place of the one in use. From a bad file a search that goes slot by slot comes back too late: the
time is over before every slot has its turn. So others' values of all slots are measured at once, and taken for the base
of the search where they are proven faster as a whole."""
import hashlib
import json
import math
import time

import optuna

from bench import estimate

from .process import BuildError, brief

EFFORT = (0.04, 5, 40)  # seconds a row and contender, least rounds, most
BAD = 1.05  # a file is bad if others' values are so much faster in the mean
OTHER_ROWS = 4
SHARE = 0.35  # of the time of the search that the other types' kernels may take


class Wholes:
    def __init__(self, session):
        self.s = session
        self.found, self.ratios = {}, {}  # {name: {slot: point}}, and {name: {row: ratios}}
        self.taken = {}  # {slot: (point, interval)}: the base that is not the file's
        self.seconds_of_kernel = 0.0
        key = hashlib.sha256(json.dumps(
            [session.machine, session.schedule.target, sorted((str(slot), sorted(point.items()))
                                                              for slot, point in session.in_file.items())]
        ).encode()).hexdigest()[:12]
        self.study = optuna.create_study(storage=session.storage, study_name=f"base {key}", load_if_exists=True)

    def _files(self, slots):
        """{name: {slot: point}}: the untuned default, and the file of the target that is nearest."""
        s, own = self.s, self.s.schedule
        near = [other for other in s.other_schedules if other.data["halide_arch"] == own.data["halide_arch"]]
        near.sort(key=lambda other: abs(other.data.get("rank", 0) - own.data.get("rank", 0)))
        files = {"untuned": {slot: s.space.default(slot) for slot in slots}}
        for other in near[:1]:
            files[f"values_of_{other.target.replace('-', '_')}"] = {
                slot: s.space.nearest(slot, other.point(slot)) for slot in slots}
        return files

    def begin_with_the_best(self):
        """Changes the session's base where the file in use is bad. Earlier runs' decision stands: what was measured
        since was compared with it."""
        s = self.s
        if "taken" not in self.study.user_attrs:
            taken = self._taken([slot for slot in s.slots if s.tier[slot] < 3])
            others = [slot for slot in s.slots if s.tier[slot] == 3]
            if taken and others:
                taken |= self._as_the_first_type(taken, others)
            self.study.set_user_attr("taken", {str(slot): value for slot, value in taken.items()})
        for slot in s.slots:
            if str(slot) in self.study.user_attrs["taken"]:
                point, interval = self.study.user_attrs["taken"][str(slot)]
                s.base[slot], self.taken[slot] = point, (point, tuple(interval))

    def _taken(self, slots):
        """{slot: (point, interval of the speed of the rows that call it)}; empty where the file in use is sound."""
        began, files = time.time(), {}
        for name, points in self._files(slots).items():
            files[name] = self._compiled(points)
        files = {name: points for name, points in files.items() if points}
        self.seconds_of_kernel = (time.time() - began) / max(sum(map(len, files.values())), 1)
        rows = self._rows(slots)
        if not files:
            return {}
        self.s.progress.note(f"others' values of all kernels of {slots[0].type}: {', '.join(files)}; {len(rows)} rows")
        found = self._compare(files, rows)
        self.ratios = {name: dict(zip(rows, of_rows)) for name, of_rows in found.items()}
        self.found = {name: files[name] for name in found}
        if max(map(estimate.mean_log, found.values()), default=0) <= math.log(BAD):
            return {}
        best = {slot: self._best_for(slot) for slot in slots}
        contenders = {"mixed": {slot: self.found[name][slot] for slot, name in best.items() if name}} | self.found
        return self._decided(contenders, rows)  # chosen by these figures: only others decide

    def _as_the_first_type(self, taken, slots):
        """The same values for the other types, if there is time to compile them."""
        s = self.s
        points = {}
        for slot in slots:
            of_first = [point for other, (point, _) in taken.items()
                        if (other.kernel, other.planes) == (slot.kernel, slot.planes)]
            if of_first:
                points[slot] = s.space.nearest(slot, of_first[0])
        left, needed = s.search_end - time.time(), 2 * len(points) * self.seconds_of_kernel
        if not points or needed > SHARE * left or left <= 0:
            s.progress.note(f"no time for the other types' kernels as a whole: {max(left, 0):.0f} s are left for the "
                            f"search, compiling takes {needed:.0f} s")
            return {}
        s.progress.note(f"the same values for the other types: {len(points)} kernels")
        s.measuring.compile([(slot, s.in_file[slot]) for slot in points])
        points = self._compiled(points)
        return self._decided({"as_f32": points}, self._rows(points)) if points else {}

    def _rows(self, slots):
        """The main operations'; of kernels that those do not call, some of the others'."""
        uses = self.s.uses
        rows = [row for row in uses.of_file(set(slots)) if row in uses.main_rows]
        called = {slot for row in rows for slot in uses.of[row]}
        others = [row for slot in slots if slot not in called for row in uses.rows_for(slot, OTHER_ROWS)]
        return list(dict.fromkeys([*rows, *others]))

    def _compare(self, contenders, rows):
        try:
            return self.s.measuring.compare(contenders, rows, EFFORT)[0]
        except BuildError as error:
            self.s.progress.warn(f"others' values as a whole could not be measured: {brief(error)}")
            return {}

    def _decided(self, contenders, rows):
        found = self._compare(contenders, rows)
        if not found:
            return {}
        best = max(found, key=lambda name: estimate.mean_log(found[name]))
        low, middle, high = estimate.mean_interval(found[best])
        bad = low > BAD
        self.s.progress.note(f"{best}: {middle:.3f} ({low:.3f} to {high:.3f}) of the speed of the file in use: "
                             f"{'bad as a whole, so the search begins with these values' if bad else 'sound'}")
        of_row = dict(zip(rows, found[best]))
        taken = {}
        for slot, point in contenders[best].items() if bad else ():
            calling = [of_row[row] for row in rows if slot in self.s.uses.of[row]]
            if calling:
                taken[slot] = (point, estimate.mean_interval(calling))
        return taken

    def _compiled(self, points):
        """Without what the file has already, and what does not compile."""
        points = {slot: point for slot, point in points.items()
                  if point != self.s.in_file[slot] and not self.s.failures.of(slot, point)}
        failed = self.s.measuring.compile(points.items())
        return {slot: point for slot, point in points.items() if self.s.builder.symbol(slot, point) not in failed}

    def _best_for(self, slot):
        """By the rows that call it and little else."""
        rows = [row for row in self.s.uses.rows_for(slot, 12) if all(row in ratios for ratios in self.ratios.values())]
        having = [name for name, points in self.found.items() if slot in points]
        if not rows or not having:
            return None
        return max(having, key=lambda name: estimate.mean_log([self.ratios[name][row] for row in rows]))

    def tell(self, searches):
        """What was measured, to the searches. Of a row that calls several kernels each gets the whole gain: too much,
        but it is validated by itself. After a change of base the figures are of another one."""
        for name, points in self.found.items() if not self.taken else ():
            for slot, point in points.items():
                ratios = [self.ratios[name].get(row) for row in searches[slot].rows]
                if all(ratios):
                    searches[slot].tell_again(point, ratios)
