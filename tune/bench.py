"""python -m tune.bench: `./dev bench`, with the schedules that the tuner's builder compiles (--variants)."""
import os
import sys

from bench.__main__ import main

from .process import BuildError
from .space import ROOT
from .variants import Variants

if __name__ == "__main__":
    os.environ["PATH"] = f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"  # cmake and ninja
    try:
        sys.exit(main(Variants))
    except BuildError as error:
        sys.exit(f"bench: {error}")
