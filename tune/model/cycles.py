"""Cycles of a sequence of instructions by llvm-mca, which knows a CPU's ports, latencies and widths. It takes all
memory to be in the first cache, all branches to be foreseen, and loads not to wait for stores."""
import json
import re

from ..process import run
from .trace import TRIPLES, llvm_tool

# By Halide's architecture, as LLVM calls them. Cortex-A76 is the core of Neoverse N1; LLVM's own
# cortex-a76 has the model of Cortex-A57, which is another core.
MODELS = {"arm-64": ["neoverse-n1", "neoverse-v1"], "x86-64": ["znver4"]}
_CALLS = re.compile(r"^(bl|blr|callq?|retq?)\b")  # their cost is that of what they call
PIECE = 200_000  # instructions that are given to llvm-mca at once: its memory


def cycles(instructions, architecture, cpu):
    total = 0
    code = [line for line in instructions if not _CALLS.match(line)]
    for start in range(0, len(code), PIECE):
        piece = "\n".join(code[start:start + PIECE]) + "\n"
        out = run([llvm_tool("llvm-mca"), f"-mtriple={TRIPLES[architecture]}", f"-mcpu={cpu}", "-iterations=1", "-json",
                   "-instruction-info=false", "-resource-pressure=false", "-"], input=piece)
        total += json.loads(out)["CodeRegions"][0]["SummaryView"]["TotalCycles"]
    return total
