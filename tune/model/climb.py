"""The search by a model, which has no noise: step by step to the best neighbour."""
from .model import judged_knobs

LEAST_STEP = 0.005  # of the logarithm of the speed: less is a tie, in which the values stay


def neighbours(space, slot, point):
    """The point, and the legal ones that differ from it in one knob."""
    all_ = (point | {knob: value} for knob, values in judged_knobs(space, slot).items() for value in values)
    return [point, *(one for one in all_ if one != point and space.problem(slot, one) is None)]


def climb(starts, around, scores):
    """The best point on the way up from the starts, of which the first has the score 0: it stays unless another is
    better. around(point): its neighbours; scores(points): of each."""
    best, height, at = starts[0], 0.0, starts
    while True:
        points = list({str(point): point for start in at for point in around(start)}.values())
        score, found = max(zip(scores(points), points), key=lambda pair: pair[0])
        if score <= height + LEAST_STEP:
            return best
        best, height, at = found, score, [found]
