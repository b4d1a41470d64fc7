# In the place of tune/runner: times follow from the knobs, and calls from the layout and the type.
# TABLE comes first.
import json
import os
import random
import signal
import sys
import time

FAULTS = json.loads(os.environ.get("FAULTS", "{}"))


def slots_of(row):
    _, _, layout, type_, _ = row.split("/")
    return [f"normalize/{'last' if layout == 'channels_last' else 'small'}/{type_}"]


def do(what, name, row):
    words = f"running {name} at {row}"
    if what == "hang":
        signal.signal(signal.SIGTERM, lambda *_: (print(words, file=sys.stderr, flush=True), os._exit(1)))
        time.sleep(600)
    if what == "crash":
        print(words, file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "kill":  # without last words
        os.kill(os.getpid(), signal.SIGKILL)
    if what.startswith("once "):  # a file: it is done once
        path = what.split()[2]
        if os.path.exists(path):
            os.remove(path)
            do(what.split()[1], name, row)


def faults(row, name):
    """What is wrong with a row of the table there."""
    return [what for slot in slots_of(row) for point, what in FAULTS.get("run", {}).items()
            if dict(word.split("=") for word in point.split()).items() <= TABLE[name].get(slot, {}).items()]  # noqa: F821


def seconds(row, name):
    """The nearer group_block, vector and the like are to 16, the faster."""
    total = 0.0
    for slot in slots_of(row):
        for knob in ("group_block", "store_vector", "vector"):
            value = int(TABLE.get(name, {}).get(slot, {}).get(knob, 16))  # noqa: F821
            total += 1e-3 * (1 + 0.1 * abs(value.bit_length() - 5))
    return total * random.gauss(1, 1e-4)


def answer(what, row):
    if what == "uses":
        return {"case": row, "kernels": slots_of(row)}
    of_name = {name: faults(row, name) for name in TABLE}  # noqa: F821
    for name, found in of_name.items():
        for fault in found:
            do(fault, name, row)
    if what == "bits":
        return {"case": row, "differing": [name for name, found in of_name.items() if "bits" in found], "failed": {}}
    return {"case": row, "seconds": {name: [seconds(row, name) for _ in range(15)] for name in (*of_name, "floor")}}


if sys.argv[1] == "machine":
    print(json.dumps({"threads": 2}))
else:
    for line in sys.stdin.read().split():
        print(json.dumps(answer(sys.argv[1], line)), flush=True)
