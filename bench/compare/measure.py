"""Rounds that time every contender in turn, as bench/measure.cpp has them for two."""
import math
import random
import statistics
import time

LEAST_TIMING = 200e-6
QUICK, THOROUGH = (0.05, 5, 40), (0.3, 9, 200)  # seconds a contender, least rounds, most
SLOW = 20  # a contender that takes so many times the floor's time is timed in the least rounds only


def rounds(contenders, effort, evict=None, pause=0, least_timing=LEAST_TIMING):
    """contenders: {name: timer(times) -> seconds of a call}. evict: empties the caches before each timing, of one call then.
    pause: seconds before each timing, and a call that is not timed: threads of other libraries spin for a while after their
    work, in the time of the next. least_timing: seconds that a timing lasts at least. Returns {name: seconds by round}; where
    a contender is slow its list is shorter."""
    seconds_each, least, most = effort
    times, once = {}, {}
    for name, timer in contenders.items():
        timer(1)
        once[name] = timer(1)
        times[name] = 1 if evict else max(1, math.ceil(least_timing / max(once[name], 1e-9)))
    fastest = min(once.values())
    found = {name: [] for name in contenders}
    names, order = list(contenders), random.Random(0)
    start = time.perf_counter()
    for turn in range(most):
        active = names if turn < least else [name for name in names if once[name] < SLOW * fastest]
        if turn >= least and time.perf_counter() - start >= seconds_each * len(active):
            break
        # At random: in an order that turns, the same contender came before another in most rounds, and left it the caches, and
        # threads still spinning, of its own.
        for name in order.sample(active, len(active)):
            if pause:
                time.sleep(pause)
                contenders[name](1)
            if evict:
                evict()
            found[name].append(contenders[name](times[name]))
    return found


def ratio(seconds, reference, name):
    """(median, lower quartile, upper quartile) of the reference's time over the contender's, in rounds that both ran."""
    values = sorted(r / t for r, t in zip(seconds[reference], seconds[name]))
    low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return statistics.median(values), low, high
