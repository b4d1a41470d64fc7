"""Optuna proposes points of a slot's space and is told their scores: logarithms of the speed over the old values'."""
import hashlib
import itertools
import json
import math
import statistics
import time

import optuna
from optuna.distributions import IntDistribution
from optuna.trial import TrialState, create_trial

from bench.estimate import TOLERATED

optuna.logging.set_verbosity(optuna.logging.WARNING)

# A trial's attributes: why it has no score; and the ratios that its score is of, by row and round.
# A study's: what validation said.
FAILED, ROWS, VALIDATED = "failed", "rows", "validated"


class Search:
    """Of one slot. A point is {knob: value}; to Optuna a knob is the place of its value among the legal ones."""

    def __init__(self, storage, slot, space, base, rows, conditions, hints, seed, failures):
        self.slot, self.space, self.base, self.rows, self.failures = slot, space, base, rows, failures
        self.knobs = space.knobs(slot)
        # Scores compare with the values in use, on these rows of this machine: under others they
        # are no evidence.
        key = hashlib.sha256(json.dumps([conditions, sorted(base.items()), rows, self.knobs]).encode()).hexdigest()[:12]
        self.study = optuna.create_study(
            storage=storage, study_name=f"{slot} {key}", direction="maximize", load_if_exists=True,
            sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=8, multivariate=True, constant_liar=True))
        if not self.study.get_trials(deepcopy=False):
            self._add_trial(base, 0.0)
            for hint in hints:
                if hint != base:
                    self.study.enqueue_trial(self._indices(hint), skip_if_exists=True)

    def _add_trial(self, point, score, attributes=None):
        self.study.add_trial(create_trial(value=score, params=self._indices(point), user_attrs=attributes or {},
                                          distributions=self._distributions()))

    def _distributions(self):
        return {name: IntDistribution(0, len(values) - 1) for name, values in self.knobs.items()}

    def _indices(self, point):
        return {name: values.index(point[name]) for name, values in self.knobs.items()}

    def _point(self, trial):
        return _point(trial, self.knobs)

    def _finished(self):
        return self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL))

    @property
    def tried(self):
        """How many points have been compiled, the values in use not counted."""
        return len({json.dumps(self._point(t)) for t in self._finished() if not t.user_attrs.get("skipped")}) - 1

    def suggest(self, point):
        self.study.enqueue_trial(self._indices(point), skip_if_exists=True)

    def propose(self, count):
        """Up to `count` legal points that have not been tried, as (trial, point); fewer where the space runs out."""
        known = {json.dumps(self._point(trial)): trial for trial in self._finished()}
        proposals, left = [], self._left(known, count)
        for point in left or ():  # so few that the sampler would mostly propose others
            self.suggest(point)
        count = min(count, len(left)) if left is not None else count
        for _ in range(20 * count):
            if len(proposals) == count:
                break
            trial = self.study.ask(self._distributions())
            point = self._point(trial)
            before = known.get(json.dumps(point))
            if before is not None or self.space.problem(self.slot, point) or self.failures.of(self.slot, point):
                trial.set_user_attr("skipped", True)
                if before is not None and before.value is not None:
                    self.study.tell(trial, before.value)
                else:
                    self.study.tell(trial, state=TrialState.FAIL)
                continue
            if any(point == other for _, other in proposals):
                self.study.tell(trial, state=TrialState.FAIL)
                continue
            proposals.append((trial, point))
        return proposals

    def _left(self, known, count):
        """The legal points that have not been tried, if they are no more than that, else None."""
        left = []
        for values in itertools.product(*self.knobs.values()):
            point = dict(zip(self.knobs, values))
            if not (json.dumps(point) in known or self.space.problem(self.slot, point)
                    or self.failures.of(self.slot, point)):
                left.append(point)
            if len(left) > count:
                return None
        return left

    def tell(self, trial, ratios=None, why=None):
        """ratios: of the speed over the values in use, by row."""
        if ratios is None:
            trial.set_user_attr(FAILED, why or "not measured")
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            trial.set_user_attr(ROWS, _short(self.rows, ratios))
            self.study.tell(trial, score(ratios))

    def tell_again(self, point, ratios):
        """Another measurement of a point: its score is the mean of all."""
        self._add_trial(point, score(ratios), {ROWS: _short(self.rows, ratios)})

    def note_validation(self, point, interval, verdict):
        """For the picture, and for whoever asks later why a point was not taken."""
        note = {"time": time.time(), "point": point, "interval": interval, "verdict": verdict}
        self.study.set_user_attr(VALIDATED, [*self.notes(), note])

    def notes(self):
        return self.study.user_attrs.get(VALIDATED, [])

    def history(self):
        """(time, score, why it has none) of each measurement."""
        return [(trial.datetime_complete.timestamp(), trial.value, trial.user_attrs.get(FAILED))
                for trial in self._finished() if ROWS in trial.user_attrs or FAILED in trial.user_attrs]

    def gain(self):
        best = self.best()
        return math.exp(best[0][1]) if best else 1.0

    def best(self, count=1):
        """The points whose mean scores are highest and above 0, as (point, score)."""
        found = [(json.loads(point), score) for point, score in mean_scores(self._finished(), self.knobs).items()]
        found = [(point, score) for point, score in found
                 if score > 0 and point != self.base and not self.failures.of(self.slot, point)]
        return sorted(found, key=lambda one: -one[1])[:count]


def _point(trial, knobs):
    return {name: values[trial.params[name]] for name, values in knobs.items()}


def mean_scores(trials, knobs):
    """{point, as JSON: mean of its scores}"""
    scores = {}
    for trial in trials:
        if trial.value is not None and not trial.user_attrs.get("skipped"):
            scores.setdefault(json.dumps(_point(trial, knobs)), []).append(trial.value)
    return {point: statistics.fmean(values) for point, values in scores.items()}


def score(rows):
    """Of ratios by row: the mean logarithm of the medians, and what a slower row costs besides, so that a point that
    helps some rows and hurts others is not sought."""
    logs = [math.log(statistics.median(row)) for row in rows]
    return sum(logs) / len(logs) + min(0.0, min(logs) - math.log(TOLERATED))


def _short(rows, ratios):
    return {row: [round(ratio, 4) for ratio in of_row] for row, of_row in zip(rows, ratios)}
