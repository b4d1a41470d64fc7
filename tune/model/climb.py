"""The search by a model, which has no noise: step by step to the best neighbour."""
LEAST_STEP = 0.005  # of the logarithm of the speed: less is a tie, in which the values stay


def starts(space, slot, knobs, base):
    """The values in use, and the defaults as far as they are among {knob: values}."""
    default = base | {knob: value for knob, value in space.default(slot).items() if value in knobs.get(knob, ())}
    return [base, *([default] if space.problem(slot, default) is None else [])]


def neighbours(space, slot, knobs, point):
    """The point, and the legal ones that differ from it in one knob. knobs: {knob: values}"""
    all_ = (point | {knob: value} for knob, values in knobs.items() for value in values)
    return [point, *(one for one in all_ if one != point and space.problem(slot, one) is None)]


def climb(first, around, scores):
    """The best point on the way up from the first ones. The very first has the score 0, and stays unless another is
    better. around(point): its neighbours; scores(points): of each."""
    best, height, at = first[0], 0.0, first
    while True:
        points = list({str(point): point for start in at for point in around(start)}.values())
        score, found = max(zip(scores(points), points), key=lambda pair: pair[0])
        if score <= height + LEAST_STEP:
            return best
        best, height, at = found, score, [found]
