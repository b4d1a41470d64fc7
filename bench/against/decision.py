"""Whether a row is faster, slower or the same, by how many times as fast it was in each look."""
import math

from bench import estimate

FASTER, SLOWER, SAME, UNDECIDED = "faster", "slower", "same", "cannot tell"
# Differences up to these are none: of the speed, and of a call in seconds. The same sources in
# another build have their code laid out otherwise, which showed as up to 40 ns a call.
BOUND, LEAST = estimate.TOLERATED, 50e-9
DOUBT = 0.05  # that a row is called the same by chance; that any of all rows is called faster or slower by chance


class Levels:
    """Of the intervals that decide, where so many rows are decided upon so many times: of 100 intervals of 95%, five
    are wrong."""

    def __init__(self, rows, times):
        self.same, self.differs = 1 - DOUBT / times, 1 - DOUBT / (times * rows)


def _interval(ratios, level):
    """None where there are too few for any interval of the level: the widest is from the least to the greatest."""
    return estimate.interval(ratios, level) if 2 * 0.5 ** len(ratios) <= 1 - level else None


def bound(seconds):
    """Of a call that takes so long."""
    return min(BOUND, seconds / (seconds + LEAST))


def verdict(ratios, seconds, levels):
    differs, same = _interval(ratios, levels.differs), _interval(ratios, levels.same)
    return _of_intervals(differs or (0, 1, math.inf), same or (0, 1, math.inf), bound(seconds))


def _of_intervals(differs, same, least):
    if differs[2] < least:
        return SLOWER
    if differs[0] > 1 / least:
        return FASTER
    return SAME if least < same[0] and same[2] < 1 / least else UNDECIDED


def of_files(now, before, seconds):
    """(verdict, interval) of two runs' (low, middle, high) of the copy floor's time over the row's. The interval is as
    wide as the two allow."""
    interval = now[0] / before[2], now[1] / before[1], now[2] / before[0]
    return _of_intervals(interval, interval, bound(seconds)), interval


def exit_status(verdicts):
    """3 if a row is slower, else 4 if one cannot be told, else 0."""
    return 3 if SLOWER in verdicts else 4 if UNDECIDED in verdicts else 0
