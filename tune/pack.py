"""Kernel packs: a shared object with some kernels and their table, which unchanged programs load (runtime/src/pack.h).

python -m tune.pack NAME FILE: a pack of the kernels by which a file of schedules/by_cpu differs from its target's.
python -m tune.pack NAME --checked TARGET: of all of a target's kernels for f32 as they are, but with Halide's checks of
their arguments, which those of a library do not have (docs/reliability.md)."""
import argparse
import hashlib
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from .build import Builder, Toolchain
from .machine import halide_include
from .process import BuildError, run
from .schedule import Schedule
from .space import ROOT, Manifest

PACKS = ROOT / "out"
# How a kernel reaches a function of the library that loads the pack: through the table that this
# library fills.
JUMPS = {"x86-64": "jmp *hnorm_pack_imports+{offset}(%rip)",
         "arm-64": "adrp x16, hnorm_pack_imports+{offset}\nldr x16, [x16, :lo12:hnorm_pack_imports+{offset}]\nbr x16"}
FLAGS = ["-std=c++17", "-O1", "-shared", "-fPIC", "-nostdlib", "-fvisibility=hidden", "-fno-exceptions",
         "-Wl,-z,defs,-z,relro,-z,now,-z,noexecstack,-z,nodelete", "-Wl,--build-id=none"]


def check_name(name):
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise argparse.ArgumentTypeError(f"'{name}' is no name of a pack: letters, digits, '.', '_' and '-', "
                                         "64 at most")
    return name


def path_of(name, folder=PACKS):
    return folder / f"hnorm-pack-{name}.so"


def make(builder, schedule, points, name, path):
    """Writes a pack with the kernels {slot: point}, and the dispatch values of the schedule."""
    for failure in builder.compile(points.items()).values():
        raise failure
    symbols = {slot: builder.symbol(slot, point) for slot, point in points.items()}
    objects = sorted({builder._object(symbol) for symbol in symbols.values()})
    identity = hashlib.sha256(repr([name, sorted(symbols.values()), schedule.data.get("dispatch"),
                                    builder.version]).encode()).hexdigest()[:16]
    with tempfile.TemporaryDirectory(dir=builder.folder) as scratch:
        table, jumps, made = (Path(scratch) / file for file in ("pack.cpp", "jumps.s", path.name))
        imports = imported(builder.toolchain, objects)
        jumps.write_text(jump_table(imports, schedule.data["halide_arch"]))
        builder._write_table(table, {schedule.target: symbols}, {}, "")
        table.write_text(table.read_text() + description(schedule.manifest, symbols, name, identity, imports))
        exported = Path(scratch) / "exported.map"
        exported.write_text("{ global: hnorm_pack; local: *; };\n")
        run([builder.toolchain.cxx, *FLAGS, f"-Wl,--version-script={exported}", f"-Wl,-soname,{path.name}",
             f"-I{ROOT}/runtime/src", f"-I{ROOT}/runtime/include", "-isystem", builder.halide_include, "-o", made,
             table, jumps, *objects])
        contents = made.read_bytes()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(contents + b"hnorm-pack 1 %s %016x\n" % (identity.encode(), checksum(contents)))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def checksum(contents):
    """FNV-1a."""
    value = 0xcbf29ce484222325
    for byte in contents:
        value = (value ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return value


def imported(toolchain, objects):
    """What the objects call and do not have."""
    nm = re.sub(r"(g\+\+|c\+\+|clang\+\+)(-\d+)?$", "nm", toolchain.cxx)
    defined, undefined = set(), set()
    for line in run([nm, "--format=posix", *objects]).splitlines():
        name, *kind = line.split()
        if kind:
            (undefined if kind[0] == "U" else defined).add(name)
    return sorted(undefined - defined)


def jump_table(imports, architecture):
    kind = "@function" if architecture == "x86-64" else "%function"
    lines = ['.section .note.GNU-stack,"",%progbits' if architecture == "arm-64" else
             '.section .note.GNU-stack,"",@progbits', ".text"]
    for i, name in enumerate(imports):
        lines += [f".globl {name}", f".hidden {name}", f".type {name}, {kind}", f"{name}:",
                  JUMPS[architecture].format(offset=8 * i)]
    lines += [".bss", ".balign 8"]
    for name, size in (("hnorm_pack_imports", 8 * len(imports)), ("hnorm_pack_owner", 8)):
        lines += [f".globl {name}", f".hidden {name}", f"{name}:", f".zero {size}"]
    return "\n".join(lines) + "\n"


def description(manifest, symbols, name, identity, imports):
    changed = {slot.kernel for slot in symbols}
    kernels = ", ".join(f"hnorm_kernels_{kernel}[0].of" if kernel in changed else "nullptr"
                        for kernel in manifest.kernels)
    names = ", ".join(f'"{one}"' for one in imports)
    return f"""
#include "pack.h"
extern "C" const void *hnorm_pack_imports[], *hnorm_pack_owner;
namespace hnorm::detail {{
static const char *const import_names[] = {{{names}}};
extern "C" {{
extern const Pack hnorm_pack __attribute__((visibility("default")));
const Pack hnorm_pack = {{
    kPackLayout, hnorm_kernels_digest, "{identity}", "{name}", hnorm_targets,
    {{{kernels}}},
    {len(symbols)}, import_names, hnorm_pack_imports, {len(imports)}, &hnorm_pack_owner}};
}}
}}  // namespace hnorm::detail
"""


def prove(path, build):
    """Holds the results of the pack's kernels, as the library loads it, to the digests."""
    test = build / "bin/test_digests"
    result = subprocess.run([test, "--pack", path], capture_output=True, text=True)
    if result.returncode:
        raise BuildError(f"{path} is not proven: {shlex.join(map(str, [test, '--pack', path]))} says\n"
                         f"{(result.stdout + result.stderr)[-2000:]}")


def changed(file):
    """The schedule of a file, and {slot: point} of the kernels by which it differs from its target's."""
    schedule = Schedule.of_file(file, Manifest())
    if problems := schedule.problems():
        raise ValueError(f"{file}: {'; '.join(problems)}")
    base = Schedule.of_target(schedule.target, schedule.manifest)
    points = {slot: schedule.point(slot) for slot in schedule.manifest.slots()
              if schedule.point(slot) != base.point(slot)}
    if not points:
        raise ValueError(f"{file}: no kernel differs from {base.target}.json")
    return schedule, points


def checked(target):
    """The target's schedule, for kernels that check their arguments, and {slot: point} of those for f32."""
    schedule = Schedule.of_target(target, Manifest(checked=True))
    return schedule, {slot: schedule.point(slot) for slot in schedule.manifest.slots() if slot.type == "f32"}


def main():
    parser = argparse.ArgumentParser(prog="python -m tune.pack", description=__doc__)
    parser.add_argument("name", type=check_name, help="of the pack: the file is hnorm-pack-NAME.so")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("file", type=Path, nargs="?", help="as those of schedules/by_cpu")
    given.add_argument("--checked", metavar="TARGET", help="the target of kernels that check their arguments")
    parser.add_argument("--to", type=Path, default=PACKS, metavar="FOLDER", help="where to write it (default: out)")
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="of what is compiled (default: out/tune/TARGET)")
    options = parser.parse_args()
    build = Path(os.environ.get("HNORM_BUILD", ROOT / "build/release"))
    try:
        schedule, points = checked(options.checked) if options.checked else changed(options.file)
        folder = options.work or ROOT / "out/tune" / schedule.target
        builder = Builder(schedule, folder, build / "bin/hnorm_generators", halide_include(), Toolchain(),
                          len(os.sched_getaffinity(0)))
        options.to.mkdir(parents=True, exist_ok=True)
        path = path_of(options.name, options.to)
        make(builder, schedule, points, options.name, path)
        prove(path, build)
    except (BuildError, OSError, ValueError) as error:
        print(f"tune.pack: {error}", file=sys.stderr)
        return 1
    print(f"{path}: {len(points)} kernels of {schedule.target}, and their bits are what they were")
    return 0


if __name__ == "__main__":
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    sys.exit(main())
