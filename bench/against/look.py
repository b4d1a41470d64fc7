"""A look at rows of two libraries, in a process of its own: python -m bench.against.look NOW BEFORE TARGET <ROWS

The files are copies made for this look, and gone when it ends. Where a library's code lies in memory, physical memory
included, makes a call of a microsecond up to 6% faster or slower, for as long as the copy of the file lasts."""
import json
import sys

from bench import estimate
from bench.library import Library
from bench.report import median

BEFORE, NOW = "before", "now"
EFFORT = (0.02, 9, 40)  # seconds for each, least rounds, most


def measure(now, before, row, target):
    """Both on the same memory, called alike. (seconds of a call now, how many times as fast that is)"""
    now.open(row)
    before.open(row, now)
    now.add_other(NOW, now, target)
    now.add_other(BEFORE, before, target)
    seconds = now.measure((NOW, BEFORE), EFFORT)
    return median(seconds[NOW]), median(estimate.ratios(seconds, BEFORE, NOW))


if __name__ == "__main__":
    libraries = [Library(path) for path in sys.argv[1:3]]
    for line in sys.stdin.read().split():
        print(json.dumps([line, *measure(*libraries, line, sys.argv[3])]), flush=True)
