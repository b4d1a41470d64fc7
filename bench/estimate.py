"""Ratios of times and how far to trust them. docs/tuner.md, "The estimator", says why these."""
import math
import random
import statistics


def ratios(seconds, reference, name):
    """Of the times of two contenders in the same rounds: above 1, `name` is faster."""
    return [r / t for r, t in zip(seconds[reference], seconds[name])]


def _chance(n, k):
    """That k of n values lie below the median: of the binomial distribution."""
    if n <= 1000:
        return math.comb(n, k) * 0.5**n
    return math.exp(math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2))


def interval(values, confidence=0.95):
    """(low, median, high): the median's interval by the sign test, which assumes nothing of the distribution."""
    ordered, n = sorted(values), len(values)
    cut, tail = 0, _chance(n, 0)  # the chance that at most `cut` values lie below the median
    while cut < n // 2 and tail + _chance(n, cut + 1) <= (1 - confidence) / 2:
        cut += 1
        tail += _chance(n, cut)
    return ordered[cut], statistics.median(ordered), ordered[n - 1 - cut]


def mean_log(rows):
    """Of the rows' medians: the logarithm of their geometric mean. rows: lists of ratios."""
    return statistics.fmean(math.log(statistics.median(row)) for row in rows)


def mean_interval(rows, confidence=0.95, resamples=400, seed=0):
    """(low, middle, high) of the geometric mean of the rows' medians, by resampling rounds within each row."""
    draw = random.Random(seed)
    means = sorted(mean_log([draw.choices(row, k=len(row)) for row in rows]) for _ in range(resamples))
    cut = int((1 - confidence) / 2 * resamples)
    return math.exp(means[cut]), math.exp(mean_log(rows)), math.exp(means[-1 - cut])


# A row proven slower than TOLERATED is one too many; to stay clear of it, values are refused from
# NOTICED on.
TOLERATED, NOTICED = 0.97, 0.98


def proven_slower(row):
    return interval(row)[2] < TOLERATED


def proven_better(rows, enough=1.005):
    """Better than `enough` in the mean beyond doubt, and no row slower, proven or by the look of it."""
    return mean_interval(rows)[0] > enough and all(map(not_slower, rows))


def not_slower(row):
    return interval(row)[2] >= NOTICED and statistics.median(row) >= TOLERATED
