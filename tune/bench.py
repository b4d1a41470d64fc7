"""python -m tune.bench: `./dev bench`, with the schedules that the tuner's builder compiles beside the library's (--variants)."""
import sys

from bench.__main__ import main

from .variants import Variants

if __name__ == "__main__":
    sys.exit(main(Variants))
