"""What `./dev bench` may be asked for, and what it needs for that.

python -m bench.arguments FILE ARGUMENTS writes the name of the environment and the target to build into FILE."""
import argparse
import sys
from pathlib import Path

from .kinds import GRADIENTS, KINDS
from .rows import (
    GROUPS,
    LAYOUTS,
    MAIN_OPS,
    OPERATIONS,
    ROOT,
    TYPES,
    RowError,
    groups_of_channels,
    named_list,
    read_shapes,
)

VARIANTS = ("tuned", "untuned", "naive", "mullapudi2016", "adams2019", "li2018")
DEVICES = ("cuda", "opencl")

DESCRIPTION = """\
Times the library's calls beside the copy floor: an ordinary copy of the same tensors on the same threads. Where a call
reads two tensors, the floor is their sum into a third. Run it on an idle machine. docs/benchmarks.md says how it
measures.

  ./dev bench --quick                         the library, over the shapes of bench/shapes/standard.txt
  ./dev bench --shapes resnet50 --peers       beside other libraries
  ./dev bench --shapes my_network.txt --variants untuned    beside other schedules
  ./dev bench --data                          on kinds of data that might make it slow
  ./dev bench --grid                          on 300 odd shapes, against each other and against plain loops
  ./dev bench --against main                  beside the library of another commit: which rows are slower
  ./dev bench --ranks 2                       with statistics of 2 processes, beside those of each

Rows are named op/group/layout/type/shape/target/variant. Columns:
  time       of one call, the median over the rounds
  GB/s       of the tensors that the call must read and write at least
  of floor   the floor's time over the row's in the same round: the median, and its 95% interval. 1: level"""
EPILOG = f"""\
operations: {', '.join(MAIN_OPS)},
  {', '.join(op for op in OPERATIONS if op not in MAIN_OPS)}
environment: HNORM_NUM_THREADS (default: all cores), HNORM_TARGET"""


class Parser(argparse.ArgumentParser):
    def error(self, message):
        print(f"bench: {message}\nbench: ./dev bench --help lists the arguments", file=sys.stderr)
        sys.exit(2)


def one_of(allowed, further=""):
    """For add_argument(type=)."""
    def check(text):
        if text in allowed or further and groups_of_channels(text):
            return text
        raise argparse.ArgumentTypeError(f"'{text}' is none of {', '.join(allowed)}{further}")

    return check


def ranks(text):
    if not text.isdecimal() or not 2 <= int(text) <= 64:
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 2 to 64")
    return int(text)


def some_of(allowed):
    return lambda text: list(dict.fromkeys(one_of(allowed)(name) for name in text.split(",")))


def parse(arguments):
    parser = Parser(prog="./dev bench", usage="./dev bench [ARGUMENTS]", description=DESCRIPTION, epilog=EPILOG,
                    allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_argument_group("what is timed beside the library (default: the floor alone)").add_argument
    rows = parser.add_argument_group("rows").add_argument
    how = parser.add_argument_group("how").add_argument
    kinds = [*KINDS, *GRADIENTS]
    what("--peers", action="store_true",
         help="PyTorch, oneDNN, ONNX Runtime and ncnn, where they compute the same; with --device PyTorch's kernels "
              "and cuDNN")
    what("--variants", nargs="?", const=list(VARIANTS), type=some_of(VARIANTS), metavar="NAMES",
         help=f"other schedules: of {', '.join(VARIANTS)}; without NAMES all. A comma between, no space")
    what("--data", nargs="?", const=kinds, type=some_of(kinds), metavar="KINDS",
         help=f"no other contenders but other data, beside normally distributed: of {', '.join(kinds)}; without KINDS "
              "all. A comma between, no space")
    what("--against", metavar="COMMIT|FILE",
         help="no other contenders but the library of a commit (a tag, a branch), in turn on the same memory; or a "
              "file of --json, which is weaker. A verdict for each row: faster, slower, same, cannot tell. Exit "
              "status: 3 if a row is slower, 4 if none is but some cannot be told, else 0")
    what("--grid", action="store_true",
         help="odd shapes, in place of lists, against each other and plain loops; prints the worst rows")
    what("--ranks", type=ranks, metavar="N",
         help="no rows but layers of ResNet-50 over N processes of Open MPI, 2 to 64, beside layers of each; "
              "prints tables (docs/ranks.md)")
    rows("--shapes", action="append", metavar="LIST",
         help="a list of bench/shapes/, or a file: a shape a line, as 32x64x56x56; may be repeated, as all of these "
              "(default: standard; with --data: data, pictures)")
    rows("--op", action="append", metavar="OP", type=one_of(tuple(OPERATIONS)),
         help=f"an operation of those below (default: {', '.join(MAIN_OPS)}; with --data and --grid without normalize)")
    rows("--group", action="append", metavar="GROUP", type=one_of(GROUPS, ", or groupsG, as groups32"),
         help="batch, instance (default: both), or groupsG, group norm of G groups, as groups32")
    rows("--layout", action="append", metavar="LAYOUT", type=one_of(LAYOUTS), help=" or ".join(LAYOUTS))
    rows("--type", action="append", metavar="TYPE", type=one_of(TYPES), help=f"{', '.join(TYPES)} (default: f32)")
    rows("--target", action="append", metavar="TARGET", help="default: the best that this machine runs")
    how("--device", metavar="DEVICE", type=one_of(DEVICES), help="the calls run on cuda or opencl")
    how("--quick", action="store_true", help="less time for each row")
    how("--cold", action="store_true", help="caches are emptied before every call; variants are named .../VARIANT_cold")
    how("--json", type=Path, metavar="FILE", help="also write the rows to FILE, in Google Benchmark's format")
    how("--plot", nargs="?", const=ROOT / "out/bench", type=Path, metavar="FOLDER",
        help="draw the rows (default: into out/bench)")
    options = parser.parse_args(arguments)

    def alone(name, *others):
        given = [other for other in others if getattr(options, other)]
        if getattr(options, name) and given:
            parser.error(f"--{name} goes without --{', --'.join(given)}")

    alone("device", "variants", "grid", "cold", "target")
    alone("data", "variants", "peers", "grid", "cold", "plot", "type")
    alone("against", "peers", "variants", "data", "grid", "ranks", "cold", "plot")
    alone("grid", "shapes", "variants", "peers", "cold", "plot", "type", "quick")
    alone("ranks", "peers", "variants", "data", "grid", "shapes", "op", "group", "layout", "type", "target", "device",
          "cold", "json", "plot")
    if options.against and len(options.target or ()) > 1:
        parser.error("--against takes one --target")
    if options.against and options.device and not Path(options.against).is_file():
        parser.error(f"--against is '{options.against}': with --device it must be a file of --json")
    if options.variants and len(options.target or ()) > 1:
        parser.error("--variants takes one --target")
    if options.grid:
        for name, allowed in (("op", ("forward", "backward")), ("group", GROUPS)):
            for value in getattr(options, name) or ():
                if value not in allowed:
                    parser.error(f"argument --{name}: '{value}' is none of {', '.join(allowed)}, which --grid takes")
    try:
        for name in options.shapes or ():
            read_shapes(named_list(name))
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.open("a").close()
    except RowError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"--json is '{options.json}': it cannot be written: {error.strerror}")
    return options


def needs(options):
    """(environment, targets of the build)"""
    environment = ".venv-peers" if options.peers else ".venv"
    if options.ranks:
        return environment, "over_ranks"
    if options.variants:
        return environment, "hnorm_generators"
    if options.against and not options.device:
        return environment, "hnorm_bench hnorm_generators"
    return environment, "hnorm_device_bench" if options.device else "hnorm_bench"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(" ".join(needs(parse(sys.argv[2:]))) + "\n")
