"""Rounds that time every contender in turn, as bench/measure.cpp has them for two."""
import math
import random
import statistics
import time

LEAST_TIMING = 200e-6
QUICK, THOROUGH = (0.05, 5, 40), (0.3, 9, 200)  # seconds a contender, least rounds, most
# Threads of other libraries spin for a while after their work, ONNX Runtime's for longer than others', in the time of the next:
# a timing begins when a GLANCE has passed in which none of the process's threads worked, or after LONGEST_WAIT.
GLANCE, LONGEST_WAIT = 2e-3, 1.0
# Then caches are others': on a shared machine it took 2 to 4 ms of calls until 13 MB were read at the L3 cache's speed again.
WARM = 6e-3
SLOW = 20  # a contender that takes so many times the floor's time is timed in the least rounds only


def rounds(contenders, effort, evict=None, settle=False, least_timing=LEAST_TIMING):
    """contenders: {name: timer(times) -> seconds of a call}. evict: empties the caches before each timing, of one call then.
    settle: whether to wait before each timing until other threads are at rest, and to call for WARM seconds. least_timing:
    seconds that a timing lasts at least. Returns {name: seconds by round}; where a contender is slow its list is shorter."""
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
            if settle:
                _wait_for_rest()
                warm = time.perf_counter() + WARM
                while time.perf_counter() < warm:
                    contenders[name](times[name])
            if evict:
                evict()
            found[name].append(contenders[name](times[name]))
    return found


def _wait_for_rest():
    end = time.perf_counter() + LONGEST_WAIT
    while time.perf_counter() < end:
        worked = time.process_time()  # of all threads
        time.sleep(GLANCE)
        if time.process_time() - worked < GLANCE / 4:
            break


def ratio(seconds, reference, name):
    """(median, lower quartile, upper quartile) of the reference's time over the contender's, in rounds that both ran."""
    values = sorted(r / t for r, t in zip(seconds[reference], seconds[name]))
    low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return statistics.median(values), low, high
