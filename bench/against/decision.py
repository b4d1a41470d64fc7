"""Whether a row is faster, slower or the same, by how many times as fast it was in each look."""
from bench import estimate

FASTER, SLOWER, SAME, UNDECIDED = "faster", "slower", "same", "cannot tell"
BOUND = estimate.TOLERATED  # differences up to it, and its reciprocal, are none
DOUBT = 0.05  # that a row is called the same by chance; that any of all rows is called faster or slower by chance


class Levels:
    """Of the intervals that decide, where so many rows are decided upon so many times: of 100 intervals of 95%, five
    are wrong."""

    def __init__(self, rows, times):
        self.same, self.differs = 1 - DOUBT / times, 1 - DOUBT / (times * rows)


def _interval(ratios, level):
    """None where there are too few for any interval of the level: the widest is from the least to the greatest."""
    return estimate.interval(ratios, level) if 2 * 0.5 ** len(ratios) <= 1 - level else None


def verdict(ratios, levels):
    interval = _interval(ratios, levels.differs)
    if interval and interval[2] < BOUND:
        return SLOWER
    if interval and interval[0] > 1 / BOUND:
        return FASTER
    interval = _interval(ratios, levels.same)
    return SAME if interval and BOUND < interval[0] and interval[2] < 1 / BOUND else UNDECIDED


def of_files(now, before):
    """(verdict, interval) of two runs' (low, middle, high) of the copy floor's time over the row's. The interval is as
    wide as the two allow."""
    low, middle, high = now[0] / before[2], now[1] / before[1], now[2] / before[0]
    found = SLOWER if high < BOUND else FASTER if low > 1 / BOUND else UNDECIDED
    return SAME if BOUND < low and high < 1 / BOUND else found, (low, middle, high)


def exit_status(verdicts):
    """3 if a row is slower, else 4 if one cannot be told, else 0."""
    return 3 if SLOWER in verdicts else 4 if UNDECIDED in verdicts else 0
