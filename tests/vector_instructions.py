"""vector_instructions.py AR OBJDUMP ARCHIVE TARGET REGISTERS: whether the hot loops of moments and backward_apply,
for large planes and f32, of this target's kernels in the archive use the vectors that its schedule file promises.

Hot: innermost loops that multiply vectors of floats: those that sum rows, and the pointwise one. They must compute
on REGISTERS: xmm (by instructions of SSE, not AVX's), ymm, zmm or v (NEON); each kernel has one that does so alone,
and none does without. (What adds up lanes uses shorter ones too, and may be in such a loop.) Exits with 77 where the
archive has no such target.
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


def member_code(ar, archive, member):
    if member not in subprocess.run([ar, "t", archive], check=True, stdout=subprocess.PIPE, text=True).stdout.split():
        print(f"SKIPPED: {member}: not compiled into this library")
        sys.exit(77)
    return subprocess.run([ar, "p", archive, member], check=True, stdout=subprocess.PIPE).stdout


def disassembly(objdump, code):
    with tempfile.NamedTemporaryFile(suffix=".o") as file:
        file.write(code)
        file.flush()
        return subprocess.run(
            [objdump, "-d", "--no-show-raw-insn", file.name], check=True, stdout=subprocess.PIPE, text=True
        ).stdout


def main(ar, objdump, archive, target, promised):
    promised = promised if promised in ("xmm", "v") else "v" + promised
    for kernel in ("moments", "backward_apply"):
        member = f"hnorm_kernel_{kernel}_large_f32_" + re.sub(r"\W", "_", target) + ".o"
        text = disassembly(objdump, member_code(ar, archive, member))
        found = []
        for loop in (loop for function in functions(text) for loop in innermost_loops(function)):
            counts, registers = arithmetic(loop)
            if counts["mul"]:
                print(f"{member}: loop of {len(loop)} instructions, {counts} on {sorted(registers)}")
                found.append(registers)
        if {promised} not in found or not all(promised in registers for registers in found):
            loops = [sorted(registers) for registers in found]
            sys.exit(f"{target} promises {promised}; {kernel} has loops on {loops}")


main(*sys.argv[1:])
