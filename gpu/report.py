"""report.json and report.md, written anew whenever something has ended: what was cut off leaves what it had."""
import dataclasses
import json
import math
import statistics
from collections import defaultdict

from bench.rows import Row

from .run import PASSED, RUNNING, last_lines, log_of

OTHERS = ("pytorch", "cudnn")
LARGEST = 4  # rows whose times are held to the least traffic's
COLUMNS = (("batch", "channels_first"), ("instance", "channels_first"), ("batch", "channels_last"),
           ("instance", "channels_last"))


def write(out, facts, steps, results):
    """results: {step's name: Result} so far."""
    document = {"machine": facts, "steps": [
        {"name": step.name, "title": step.title, "of_bits": step.of_bits} | dataclasses.asdict(results[step.name])
        for step in steps if step.name in results]}
    for entry, step in zip(document["steps"], steps):
        if step.rows:
            entry["rows"] = rows_of(out / step.rows)
    _replace(out / "report.json", json.dumps(document, indent=1) + "\n")
    _replace(out / "report.md", markdown(out, facts, steps, results))


def _replace(path, text):
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    part.replace(path)


def rows_of(path):
    """The benchmarks of a file of rows; none where it is not there, or is no such file."""
    try:
        return json.loads(path.read_text())["benchmarks"]
    except (OSError, ValueError, KeyError):
        return []


def markdown(out, facts, steps, results):
    lines = [f"# hnorm on {facts['device']}", "", *(f"- {name}: {fact}" for name, fact in facts.items() if fact), "",
             "| step | what | result | seconds |", "|---|---|---|---|"]
    for step in steps:
        result = results.get(step.name)
        if result is None:
            lines.append(f"| {step.name} | {step.title} | not reached | |")
        else:
            why = f": {result.why.replace('|', '/')}" if result.why else ""
            lines.append(f"| {step.name} | {step.title} | {result.status}{why} | {result.seconds:.0f} |")
    parts = {"bench_f32": times, "bench_bf16": times, "graphs": None, "data": kinds, "candidates": candidates}
    for step in steps:
        result = results.get(step.name)
        if result is None or step.skip:
            continue
        section = parts.get(step.name, ())
        if step.rows and (rows := rows_of(out / step.rows)):
            lines += ["", f"## {step.title[0].upper()}{step.title[1:]}", "", *section(rows)]
        elif section is None:
            lines += ["", f"## {step.title}", "", *(f"- {line}" for line in _said(out, step))]
        if result.status not in (PASSED, RUNNING):
            lines += _failures(out, step, result)
    of_f32, of_bf16 = (rows_of(out / f"bench_{name}.json") if f"bench_{name}" in results else []
                       for name in ("f32", "bf16"))
    if of_f32 and of_bf16:
        lines += ["", "## bf16 over f32", "", *_halves(of_f32, of_bf16)]
    return "\n".join(lines) + "\n"


def _said(out, step):
    return [line for name in step.parts for line in last_lines(log_of(out, step, name))]


def _failures(out, step, result):
    lines = []
    for name, part in result.parts.items():
        if part.status != PASSED:
            lines += ["", f"`{name}` {part.status}: {part.why}. The end of its output:", "", "```",
                      *last_lines(log_of(out, step, name)), "```"]
    return lines


# ---- times

def table_of(rows):
    """{(op, group, layout): {shape: {who: microseconds}}}; who: hnorm, copy, pytorch, cudnn."""
    found = defaultdict(dict)
    for entry in rows:
        op, group, layout, _, shape, kind, who = entry["name"].split("/")[:7]
        name = "copy" if kind == "copy" else who if kind == "peer" else "hnorm"
        found[op, group, layout].setdefault(shape, {})[name] = entry["real_time"]
    return found


def times(rows):
    table = table_of(rows)
    lines = ["Microseconds: hnorm / PyTorch's kernels / cuDNN, the launches included. Bold: hnorm is the fastest.",
             "Copy: the device's own, of as many bytes.", ""]
    for op in dict.fromkeys(op for op, *_ in table):
        columns = [(group, layout) for group, layout in COLUMNS if (op, group, layout) in table]
        shapes = dict.fromkeys(shape for column in columns for shape in table[(op, *column)])
        titles = [f"{group}, {layout.replace('_', '-')}" for group, layout in columns]
        lines += ["| " + " | ".join([op, "copy", *titles]) + " |", "|---" * (len(columns) + 2) + "|"]
        for shape in shapes:
            cells = [table[(op, *column)].get(shape, {}) for column in columns]
            copies = [cell["copy"] for cell in cells if "copy" in cell]
            copy = _short(statistics.median(copies)) if copies else "-"
            lines.append("| " + " | ".join([shape.replace("x", ", "), copy, *map(_cell, cells)]) + " |")
        lines.append("")
    return [*lines, *_ahead(table), *_over_copy(table)]


def _short(time):
    return f"{time:.3g}" if time < 100 else f"{time:.0f}"


def _cell(times):
    if "hnorm" not in times:
        return "-"
    fastest = any(other in times for other in OTHERS) and all(
        times["hnorm"] <= times[other] for other in OTHERS if other in times)
    shown = [_short(times[who]) if who in times else "-" for who in ("hnorm", *OTHERS)]
    while shown[-1] == "-":
        shown.pop()
    return " / ".join([f"**{shown[0]}**" if fastest else shown[0], *shown[1:]])


def _ahead(table):
    lines = []
    for other in OTHERS:
        compared = [(key, shape, times["hnorm"] / times[other]) for key, of_key in table.items()
                    for shape, times in of_key.items() if other in times and "hnorm" in times]
        if compared:
            behind = [f"{'/'.join(key)}/{shape} ({ratio:.2f})" for key, shape, ratio in compared if ratio > 1]
            lines.append(f"- Ahead of {other} in {len(compared) - len(behind)} of {len(compared)} rows." +
                         (f" Behind, with the times' ratio: {', '.join(behind)}." if behind else ""))
    return lines or ["- No other library was there to compare with."]


def _largest(table):
    shapes = {shape for of_key in table.values() for shape in of_key}
    return sorted(shapes, key=lambda shape: -math.prod(map(int, shape.split("x"))))[:LARGEST]


def _over_copy(table):
    lines = []
    for (op, group, layout), of_key in table.items():
        ratios = [f"{of_key[shape]['hnorm'] / of_key[shape]['copy']:.2f}" for shape in _largest(table)
                  if {"hnorm", "copy"} <= of_key.get(shape, {}).keys()]
        if op == "forward" and ratios:
            lines.append(f"- {op}, {group}, {layout}: {', '.join(ratios)} of the copy's time at the {len(ratios)} "
                         "largest tensors.")
    return lines


def _halves(of_f32, of_bf16):
    full, half = table_of(of_f32), table_of(of_bf16)
    lines = []
    for key, of_key in half.items():
        ratios = [f"{of_key[shape]['hnorm'] / full[key][shape]['hnorm']:.2f}" for shape in _largest(full)
                  if "hnorm" in of_key.get(shape, {}) and "hnorm" in full.get(key, {}).get(shape, {})]
        if ratios:
            lines.append(f"- {', '.join(key)}: {', '.join(ratios)} of f32's time at the {len(ratios)} largest tensors.")
    return lines


# ---- data, and other values of the knobs

def kinds(rows):
    found = defaultdict(list)
    for entry in rows:
        row, kind = Row("/".join(entry["name"].split("/")[:5])), entry["name"].rsplit("/", 1)[1]
        if kind != "normal":
            found[kind, row.op].append((entry["over_normal"], "/".join(entry["name"].split("/")[1:5])))
    lines = ["| data | mean of the times over normal data's | most | where |", "|---|---|---|---|"]
    for (kind, op), of_kind in sorted(found.items(), key=lambda item: max(item[1])):
        mean = math.exp(statistics.fmean(math.log(ratio) for ratio, _ in of_kind))
        most, where = max(of_kind)
        lines.append(f"| {kind}, {op} | {mean:.2f} | {most:.2f} | {where} |")
    return lines


def candidates(rows):
    lines = ["How many times as fast as the values in use, over the rows that call the kernel, with the interval that",
             "allows for the number of values.", "", "| kernel | best | of | values |", "|---|---|---|---|"]
    for entry in rows:
        low, middle, high = entry["speed"]
        values = json.dumps(entry["point"]) if low > 1 else "none is proven faster"
        lines.append(f"| {entry['slot']} | {middle:.3f} ({low:.3f} to {high:.3f}) | {entry['candidates']} | {values} |")
    return lines
