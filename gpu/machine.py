"""What the machine of the figures is, beyond its device's name, and what the programs were built from."""
import json
import os
import platform
import re
import subprocess
import sys

from bench.rows import ROOT

BUILT = ROOT / "built.json"  # the archive has it
_QUERY = "name,driver_version,memory.total,clocks.max.sm,clocks.max.memory,power.limit"


def facts(device):
    return {"driver": _nvidia_smi() if device == "cuda" else "", "cores": f"{os.cpu_count()} CPU cores",
            "system": platform.platform(), "others": _torch() if device == "cuda" else "", "built": built()}


def _nvidia_smi():
    try:
        found = subprocess.run(["nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader"], capture_output=True,
                               text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"nvidia-smi does not say more ({error})"
    return f"{_QUERY}: {found.stdout.splitlines()[0]}" if found.returncode == 0 else "nvidia-smi does not say more"


def _torch():
    """In a process of its own: it may take seconds, and memory."""
    code = ("import torch; print('PyTorch', torch.__version__, ', cuDNN', torch.backends.cudnn.version(), ', GPU',"
            " torch.cuda.is_available())")
    try:
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no PyTorch: {error}"
    last = (found.stderr.strip().splitlines() or ["no reason"])[-1]
    return found.stdout.strip() if found.returncode == 0 else f"no PyTorch: {last}"


def built():
    data = json.loads(BUILT.read_text()) if BUILT.exists() else describe()
    return f"hnorm {data['version']}, commit {data['commit']}"


def describe():
    """Of the checkout."""
    version = re.search(r"project\(hnorm VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
    commit = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True)
    return {"version": version, "commit": commit.stdout.strip() or "unknown"}
