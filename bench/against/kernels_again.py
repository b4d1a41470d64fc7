"""hnorm_generators for the library of another commit (reference.py): a kernel that the build has made with the same
arguments is copied."""
import json
import os
import shutil
import sys
from pathlib import Path

known = json.loads((Path(__file__).parent / "known.json").read_text())
arguments = sys.argv[1:]
if "-f" in arguments and "-o" in arguments:
    symbol, at = arguments[arguments.index("-f") + 1], arguments.index("-o")
    if known["arguments"].get(symbol) == arguments[:at] + arguments[at + 2:]:
        for ending in ("o", "stmt", "h"):
            shutil.copy(Path(known["kernels"]) / f"{symbol}.{ending}", arguments[at + 1])
        sys.exit()
os.execv(known["generators"], [known["generators"], *arguments])
