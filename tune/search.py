"""Optuna proposes points of a slot's space and is told their scores: logarithms of the speed over the old values'."""
import hashlib
import json
import math
import statistics

import optuna
from optuna.distributions import IntDistribution
from optuna.trial import TrialState, create_trial

from bench.estimate import TOLERATED

optuna.logging.set_verbosity(optuna.logging.WARNING)

FAILED = "failed"  # a trial's attribute: why it has no score


def open_storage(path):
    """A journal on disk: a search that was stopped goes on from it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    return optuna.storages.JournalStorage(backend)


class Search:
    """Of one slot. A point is {knob: value}; to Optuna a knob is the place of its value among the legal ones."""

    def __init__(self, storage, slot, space, base, rows, conditions, hints, seed):
        self.slot, self.space, self.base, self.rows = slot, space, base, rows
        self.knobs = space.knobs(slot)
        # Scores compare with the values in use, on these rows of this machine: under others they are no evidence.
        key = hashlib.sha256(json.dumps([conditions, sorted(base.items()), rows, self.knobs]).encode()).hexdigest()[:12]
        self.study = optuna.create_study(
            storage=storage, study_name=f"{slot} {key}", direction="maximize", load_if_exists=True,
            sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=8, multivariate=True, constant_liar=True))
        if not self.study.get_trials(deepcopy=False):
            self._add_trial(base, 0.0)
            for hint in hints:
                if hint != base:
                    self.study.enqueue_trial(self._indices(hint), skip_if_exists=True)

    def _add_trial(self, point, score):
        self.study.add_trial(
            create_trial(value=score, params=self._indices(point), distributions=self._distributions()))

    def _distributions(self):
        return {name: IntDistribution(0, len(values) - 1) for name, values in self.knobs.items()}

    def _indices(self, point):
        return {name: values.index(point[name]) for name, values in self.knobs.items()}

    def _point(self, trial):
        return {name: values[trial.params[name]] for name, values in self.knobs.items()}

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
        proposals = []
        for _ in range(20 * count):
            if len(proposals) == count:
                break
            trial = self.study.ask(self._distributions())
            point = self._point(trial)
            before = known.get(json.dumps(point))
            if before is not None or self.space.problem(self.slot, point):
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

    def tell(self, trial, score=None, why=None):
        if score is None:
            trial.set_user_attr(FAILED, why)
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self.study.tell(trial, score)

    def tell_again(self, point, score):
        """Another measurement of a point: its score is the mean of all."""
        self._add_trial(point, score)

    def best(self, count=1):
        """The points whose mean scores are highest and above 0, as (point, score)."""
        scores = {}
        for trial in self._finished():
            if trial.value is not None and not trial.user_attrs.get("skipped"):
                scores.setdefault(json.dumps(self._point(trial)), []).append(trial.value)
        found = [(json.loads(point), statistics.fmean(values)) for point, values in scores.items()]
        found = [(point, score) for point, score in found if score > 0 and point != self.base]
        return sorted(found, key=lambda one: -one[1])[:count]


def score(rows):
    """Of ratios by row: the mean logarithm of the medians, and what a slower row costs besides, so that a point that
    helps some rows and hurts others is not sought."""
    logs = [math.log(statistics.median(row)) for row in rows]
    return sum(logs) / len(logs) + min(0.0, min(logs) - math.log(TOLERATED))
