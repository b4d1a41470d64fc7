"""vector_instructions.py AR OBJDUMP ARCHIVE TARGET REGISTERS: whether the hot loops of forward, for large planes and f32, of
this target's kernel in the archive use the vectors that its schedule file promises.

Hot: innermost loops that compute with vectors of floats. forward has three: the chunk's sum, the sums of deviations and
squares, and the pointwise part. All of such arithmetic in them must be on REGISTERS: xmm (by instructions of SSE, not AVX's),
ymm, zmm or v (NEON). Exits with 77 where the archive has no such target.
"""

import re
import subprocess
import sys
import tempfile

BRANCH = re.compile(r"(?:j[a-z]+|b|b\.[a-z]+|cbn?z|tbn?z)\s+(?:[^<]*,\s*)?(?:0x)?([0-9a-f]+) <")
PACKED = re.compile(r"(v?)(add|sub|mul)ps\s.*?([xyz]mm)|(f)(add|sub|mul)\s+(v)\d+\.[24]s")


def functions(text):
    """A list of (address, instruction) for each function."""
    result = []
    for line in text.splitlines():
        if re.match(r"[0-9a-f]+ <.*>:$", line):
            result.append([])
        match = re.match(r"\s+([0-9a-f]+):\t(.*)", line)
        if match:
            result[-1].append((int(match[1], 16), match[2]))
    return result


def innermost_loops(instructions):
    index = {address: i for i, (address, _) in enumerate(instructions)}
    loops = []
    for i, (_, text) in enumerate(instructions):
        branch = BRANCH.match(text)
        start = index.get(int(branch[1], 16), i + 1) if branch else i + 1
        if start <= i:
            loops.append((start, i))
    for start, end in loops:
        if not any(start <= s and e <= end and (s, e) != (start, end) for s, e in loops):
            yield [text for _, text in instructions[start : end + 1]]


def arithmetic(loop):
    """How often the loop adds, subtracts and multiplies vectors, and on which registers."""
    counts, registers = {"add": 0, "sub": 0, "mul": 0}, set()
    for text in loop:
        match = PACKED.match(text)
        if match:
            counts[match[2] or match[5]] += 1
            registers.add(match[6] or match[1] + match[3])
    return counts, registers


def main(ar, objdump, archive, target, promised):
    member = "hnorm_kernel_forward_large_f32_" + re.sub(r"\W", "_", target) + ".o"
    if member not in subprocess.run([ar, "t", archive], check=True, stdout=subprocess.PIPE, text=True).stdout.split():
        print(f"SKIPPED: {target}: not compiled into this library")
        sys.exit(77)
    code = subprocess.run([ar, "p", archive, member], check=True, stdout=subprocess.PIPE).stdout
    with tempfile.NamedTemporaryFile(suffix=".o") as file:
        file.write(code)
        file.flush()
        text = subprocess.run(
            [objdump, "-d", "--no-show-raw-insn", file.name], check=True, stdout=subprocess.PIPE, text=True
        ).stdout
    kinds, wrong = set(), []
    for loop in (loop for function in functions(text) for loop in innermost_loops(function)):
        counts, registers = arithmetic(loop)
        if not registers:
            continue
        print(f"{member}: loop of {len(loop)} instructions, {counts} on {sorted(registers)}")
        if registers != {promised if promised in ("xmm", "v") else "v" + promised}:
            wrong.append(registers)
        kinds.add("sum" if not counts["mul"] else "squares" if counts["mul"] * 2 <= counts["add"] else "pointwise")
    if wrong or kinds != {"sum", "squares", "pointwise"}:
        sys.exit(f"{target} promises {promised}; found loops {sorted(kinds)}, on other registers: {wrong}")


main(*sys.argv[1:])
