"""How well one order of candidates foretells another."""
import itertools
import math
import statistics


def ranks(values):
    """From 1 up; equal values share the mean of their places."""
    ordered = sorted(values)
    place = {value: ordered.index(value) + (ordered.count(value) + 1) / 2 for value in set(ordered)}
    return [place[value] for value in values]


def spearman(one, other):
    """Spearman's rank correlation; NaN where one of them has no order."""
    if len(set(one)) < 2 or len(set(other)) < 2:
        return math.nan
    return statistics.correlation(ranks(one), ranks(other))


def agreeing(model, measured, apart):
    """Of the pairs that the model sees so far apart: how many the other sees in the same order, and how many there
    are."""
    pairs = [(m, s) for (m, s) in ((a[0] - b[0], a[1] - b[1])
                                   for a, b in itertools.combinations(zip(model, measured), 2)) if abs(m) >= apart]
    return sum(m * s > 0 for m, s in pairs), len(pairs)


def merged(candidates):
    """Candidates that execute the same code are one, whose figures are the means: a tie of theirs is no finding.
    candidates: (code, figures) pairs"""
    same = {}
    for code, figures in candidates:
        same.setdefault(code, []).append(figures)
    return [tuple(statistics.fmean(column) for column in zip(*group)) for group in same.values()]
