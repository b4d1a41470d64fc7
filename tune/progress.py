"""What a person sees: lines that stay, and on a terminal one that moves, with the best so far and the time left."""
import sys
import time

from tqdm import tqdm


class Progress:
    def __init__(self, started, deadline):
        self.started, self.deadline, self.candidates = started, deadline, 0
        self.bar = tqdm(total=round(deadline - started), bar_format="{desc} |{bar:20}| {postfix}", file=sys.stderr,
                        disable=not sys.stderr.isatty(), dynamic_ncols=True, leave=False)

    def _say(self, text):
        tqdm.write(f"tune: {_minutes(time.time() - self.started)}  {text}", file=sys.stderr)
        sys.stderr.flush()
        self._move()

    def _move(self, text=None):
        now = time.time()
        self.bar.n = min(round(now - self.started), self.bar.total)
        if text:
            self.bar.set_description_str(text, refresh=False)
        left = _minutes(max(self.deadline - now, 0))
        self.bar.set_postfix_str(f"{left} left, {self.candidates} candidates", refresh=False)
        self.bar.refresh()

    def note(self, text):
        self._say(text)

    def warn(self, text):
        self._say(f"WARNING: {text}")

    def working(self, slot, tier, gain, what):
        self._move(f"{what} {slot}, best so far {gain:.3f}")

    def tried(self, count):
        self.candidates += count
        self._move()

    def found(self, slot, gain, point):
        self._say(f"{str(slot):34} {gain:6.3f} of the old speed with {_knobs(point)}")

    def validating(self, slot, left):
        self._move(f"validating {slot}, {left} more")

    def validated(self, slot, point, interval, verdict):
        low, middle, high = interval
        self._say(f"{str(slot):34} {middle:6.3f} ({low:.3f} to {high:.3f}) with {_knobs(point)}: {verdict}")

    def failed(self, name, changes, why):
        """changes: {slot: point}. Of many kernels at once it is the name that says what failed."""
        for slot, point in changes.items() if len(changes) == 1 else ():
            name = f"{slot} with {_knobs(point)}"
        self.warn(f"{name} is left out, and will not be tried again: {why}")

    def summary(self, failures, given_up):
        """What went wrong on the way, at the end once more."""
        if failures:
            self.note(f"{len(failures)} candidates failed, and are noted in the journal:")
        for slot, point, why in failures:
            self.note(f"    {slot} with {_knobs(point)}: {why}")
        for slot, why in given_up.items():
            self.note(f"    {slot} was left as it is: {why}")

    def close(self):
        self.bar.close()


def _minutes(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _knobs(point):
    return " ".join(f"{name}={value}" for name, value in point.items())
