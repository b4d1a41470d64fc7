"""The instructions that kernels execute, in their order, as an emulator sees them."""
import re
import shutil
import subprocess
from bisect import bisect_right

from ..process import BuildError, run

# By Halide's architecture: what runs the target's programs, with every feature that it knows; and
# LLVM's name.
EMULATORS = {"arm-64": ["qemu-aarch64-static", "-cpu", "max"], "x86-64": ["qemu-x86_64-static", "-cpu", "max"]}
TRIPLES = {"arm-64": "aarch64", "x86-64": "x86_64"}
LLVM = 19  # another has other models: figures of two are not compared


def llvm_tool(name):
    tool = f"{name}-{LLVM}"
    if not shutil.which(tool):
        raise ValueError(f"--model needs {tool}: it is in Debian's and Ubuntu's package llvm-{LLVM}")
    return tool


def emulator(architecture):
    """The command before a program's path that has it write a line for each instruction."""
    tool, *flags = EMULATORS[architecture]
    if not shutil.which(tool):
        raise ValueError(f"--model needs {tool}: it is in Debian's and Ubuntu's package qemu-user-static")
    return [tool, *flags]


def _one_by_one(tool):
    """Its option that makes each instruction a block of its own: from QEMU 8.1 on it has another name."""
    known = "-one-insn-per-tb" in run([tool, "-help"])
    return "-one-insn-per-tb" if known else "-singlestep"


class Program:
    """A linked runner, and where in it each kernel's code lies."""

    def __init__(self, path, architecture, symbols):
        self.path, self.architecture = path, architecture
        functions = parse_names(run([llvm_tool("llvm-nm"), "--print-size", path]))
        self.ranges = sorted((*span(functions, symbol), symbol) for symbol in symbols)

    def instructions(self):
        """{address: text as llvm-mca takes it}"""
        found = {}
        for start, end, _ in self.ranges:
            found |= parse_disassembly(run([
                llvm_tool("llvm-objdump"), "-d", "--no-show-raw-insn", f"--start-address={start}",
                f"--stop-address={end}", self.path]))
        return found

    def trace(self, row):
        """{symbol: [address]} of one call of the row by each of the table's kernels."""
        command = emulator(self.architecture)
        ranges = ",".join(f"{start:#x}+{end - start:#x}" for start, end, _ in self.ranges)
        process = subprocess.Popen(
            [*command, _one_by_one(command[0]), "-d", "exec,nochain", "-dfilter", ranges, self.path, "call"],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        process.stdin.write(row + "\n")
        process.stdin.close()
        found, other = parse_trace(process.stderr, self.ranges)
        if process.wait():
            raise BuildError(f"{row}: the emulator failed with {process.returncode}: {' '.join(other[-5:])}")
        return found


def parse_names(text):
    """(address, size, name) of functions in llvm-nm's lines"""
    lines = [line.split() for line in text.splitlines()]
    return [(int(line[0], 16), int(line[1], 16), line[3]) for line in lines if len(line) == 4 and line[2] in "Tt"]


def span(functions, symbol):
    """(start, end) of a kernel: a function, and those that Halide made of its parallel loops, which lie together."""
    own = [(at, at + size) for at, size, name in functions if name == symbol or name.startswith(f"{symbol}_par_for")]
    if not own:
        raise BuildError(f"the program has no function {symbol}")
    return min(start for start, _ in own), max(end for _, end in own)


def parse_trace(lines, ranges):
    """Of QEMU's log: ({symbol: [address]}, other lines). ranges: (start, end, symbol), sorted"""
    starts, found, other = [start for start, _, _ in ranges], {symbol: [] for _, _, symbol in ranges}, []
    for line in lines:
        if not line.startswith("Trace "):
            other.append(line.strip())
            continue
        address = int(line.split("/", 2)[1], 16)  # [.../ADDRESS/flags...]
        start, end, symbol = ranges[bisect_right(starts, address) - 1]
        if start <= address < end:
            found[symbol].append(address)
    return found, other


_LINE = re.compile(r"\s*([0-9a-f]+):\s+(\S.*)")
_NAMES = re.compile(r"\s*(<[^>]*>|//.*| # .*)")
_TO_AN_ADDRESS = re.compile(r"^((?:b|bl|b\.\w+|cbn?z|tbn?z|adrp?|j\w+|callq?)\s(?:.*\s)?)(?:#?0x[0-9a-f]+)$")


def parse_disassembly(text):
    """{address: instruction} of llvm-objdump's lines. Targets of branches become 0: the model does not follow them, and
    equal code at two places is equal."""
    found = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match:
            instruction = _NAMES.sub("", match[2]).strip()
            instruction = _TO_AN_ADDRESS.sub(r"\g<1>0", instruction)
            found[int(match[1], 16)] = re.sub(r"0x[0-9a-f]+\(%rip\)", "0(%rip)", instruction)
    return found
