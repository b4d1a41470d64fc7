"""What `./dev gpu` may be asked for, and what it needs for that.

python -m gpu.arguments FILE ARGUMENTS writes the targets to build into FILE."""
import argparse
import sys
from pathlib import Path

from bench.arguments import DEVICES, one_of
from bench.machine import device_name
from bench.rows import ROOT

from .steps import NAMES, TARGETS

LIMIT = 570  # seconds: ten minutes, with some left to bring the results away

DESCRIPTION = """\
Runs all that a GPU must show, the most telling first: whether every kernel has its bits, times beside a copy, PyTorch
and cuDNN, CUDA graphs, kinds of data, other values of the knobs, and the tests of functions and layers. Results are
written at once: report.md, report.json, and each step's output. A step that fails or hangs does not stop the next.

  ./dev gpu --pack hnorm-gpu.tar.xz      makes an archive for a machine with a GPU, without network and compiler;
                                         unpack it there, and call ./run, which takes these arguments
  ./dev gpu                              runs here
  ./dev gpu --device opencl --brief      tries the command on OpenCL, which without a GPU is PoCL

Exit status: 0 if all bits held; 1 if some did not, or were not shown to; 2 if an argument is refused or there is no
device; 3 if all bits held and another step failed."""


class Parser(argparse.ArgumentParser):
    def error(self, message):
        print(f"gpu: {message}\ngpu: --help lists the arguments", file=sys.stderr)
        sys.exit(2)


def number(least, most):
    def check(text):
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"'{text}' is no number from {least} to {most}")
        return int(text)

    return check


def archive(text):
    path = Path(text)
    if not text.endswith(".tar.xz"):
        raise argparse.ArgumentTypeError(f"'{text}' does not end with .tar.xz")
    if not path.resolve().parent.is_dir():
        raise argparse.ArgumentTypeError(f"'{text}' is in no folder that there is")
    return path


def parse(arguments, device_of=device_name):
    parser = Parser(prog="./dev gpu", usage="./dev gpu [ARGUMENTS]", description=DESCRIPTION, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--device", default="cuda", metavar="DEVICE", type=one_of(DEVICES), help="cuda (default) or opencl")
    add("--steps", type=lambda text: [one_of(NAMES)(name) for name in text.split(",")], metavar="NAMES",
        help=f"these alone, of {', '.join(NAMES)}. A comma between, no space")
    add("--limit", default=LIMIT, type=number(1, 86400), metavar="SECONDS",
        help=f"for all steps together (default: {LIMIT})")
    add("--brief", action="store_true", help="each step does little: to try the command")
    add("--out", default=ROOT / "out/gpu", type=Path, metavar="FOLDER", help="of the results (default: out/gpu)")
    add("--pack", type=archive, metavar="FILE.tar.xz", help="runs nothing: makes the archive")
    add("--candidates", type=number(0, 64), metavar="N",
        help="with --pack: other values of the knobs of each hot kernel (default: 8; some minutes to compile)")
    options = parser.parse_args(arguments)
    if options.candidates is not None and not options.pack:
        parser.error("--candidates goes with --pack alone")
    if options.pack:
        options.candidates = 8 if options.candidates is None else options.candidates
        return options
    try:
        options.device_name = device_of(options.device)
    except OSError as error:
        parser.error(f"there is no {options.device} device here: {error}; --pack makes an archive for a machine that "
                     "has one")
    options.out = options.out.absolute()
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out is '{options.out}': it cannot be made: {error.strerror}")
    return options


if __name__ == "__main__":
    asked = parse(sys.argv[2:])
    generators = ["hnorm_generators"] if asked.pack and asked.candidates else []
    Path(sys.argv[1]).write_text(" ".join([*TARGETS, *generators]) + "\n")
