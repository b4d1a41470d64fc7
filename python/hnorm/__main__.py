"""python -m hnorm: what this library has for the machine that it runs on, and where its files for C and C++ are."""
import argparse
import os
from pathlib import Path

import numpy

import hnorm


def info() -> None:
    """Prints what the program `hnorm info` prints."""
    hnorm.moments(numpy.zeros((1, 1), numpy.float32), hnorm.Group.batch)  # says what is wrong with HNORM_TARGET
    how = ", forced by HNORM_TARGET" if os.environ.get("HNORM_TARGET") else ""
    targets = hnorm.targets()
    width = max(len(target.name) for target in targets)
    print(f"hnorm {hnorm.__version__}, {hnorm.num_threads()} threads; targets, best first:")
    for target in targets:
        in_use = target.name == hnorm.target()
        state = target.unusable or (f"in use{how}" if in_use else "usable")
        print(f"{'*' if in_use else ' '} {target.name:{width}}  {state}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hnorm")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--info", action="store_true", help="list the targets, as the program `hnorm info`")
    group.add_argument("--cmake-dir", action="store_true", help="print the folder of the CMake package: hnorm_DIR")
    group.add_argument("--version", action="version", version=hnorm.__version__)
    arguments = parser.parse_args()
    if arguments.cmake_dir:
        print(Path(__file__).parent / "lib/cmake/hnorm")
        return
    try:
        info()
    except hnorm.Error as error:
        parser.exit(1, f"hnorm: {error}\n")


if __name__ == "__main__":
    main()
