"""How a run went, in one picture: candidates over time, what validation said of the best, and the new file by row."""
import math

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator  # noqa: E402

from bench.plot import COLOURS  # noqa: E402

TIERS = {1: ("f32, the main operations' kernels", COLOURS["tuned"]), 2: ("f32, the others", COLOURS["pytorch"]),
         3: ("16-bit types", COLOURS["onednn_preferred"])}
REFUSED = COLOURS["onnxruntime"]
MOST = 40  # validations that are drawn, the last ones


def picture(session, compared, path):
    """Returns the path. compared: {row: {what: interval}}, as in the provenance."""
    notes = sorted((note for one in session.searches.values() for note in _notes(session, one)),
                   key=lambda note: note["time"])[-MOST:]
    parts = [(4.2, lambda axis: _candidates(axis, session))]
    if notes:
        parts.append((0.7 + 0.24 * len(notes), lambda axis: _validated(axis, notes)))
    if compared:
        parts.append((3.2, lambda axis: _rows(axis, compared)))
    heights = [height for height, _ in parts]
    figure, axes = plt.subplots(len(parts), 1, figsize=(11, sum(heights) + 0.8), height_ratios=heights, squeeze=False,
                                layout="constrained")
    for axis, (_, drawn) in zip(axes[:, 0], parts):
        drawn(axis)
        axis.spines[["top", "right"]].set_visible(False)
    what = session.machine.get("cpu") or session.machine.get("gpu")
    count = session.machine.get("threads", 0)
    threads = f", {count} thread{'s' if count > 1 else ''}" if count else ""
    figure.suptitle(f"./dev tune, {session.schedule.target}: {what}{threads}", fontsize=11)
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return path


def _notes(session, one):
    return [{"slot": one.slot, **note} for note in one.notes() if note["time"] >= session.started]


def _candidates(axis, session):
    """Each at the minute of its measurement; a line for the mean of the best so far."""
    began, of_tier, events, failed = session.started, {tier: [] for tier in TIERS}, [], []
    for slot, one in session.searches.items():
        for when, score, why in one.history():
            if when < began:
                continue
            if why:
                failed.append(((when - began) / 60, slot))
            elif score is not None:
                of_tier[session.tier[slot]].append(((when - began) / 60, math.exp(score)))
                events.append((when, slot, score))
    for tier, points in of_tier.items():
        label, colour = TIERS[tier]
        if points:
            axis.plot(*zip(*points), ".", color=colour, alpha=0.6, markersize=5,
                      label=f"{len(points)} measurements: {label}")
    shown = [speed for points in of_tier.values() for _, speed in points]
    bottom = max(min(shown, default=0.5), 0.4) * 0.97
    if failed:
        axis.plot([x for x, _ in failed], [bottom] * len(failed), "x", color=REFUSED,
                  label=f"{len(failed)} failed: " + _reasons(session))
    best, line = dict.fromkeys(session.searches, 0.0), []
    for when, slot, score in sorted(events, key=lambda event: event[0]):
        best[slot] = max(best[slot], score)
        line.append(((when - began) / 60, math.exp(sum(best.values()) / len(best))))
    if line:
        axis.plot(*zip(*line), drawstyle="steps-post", color="black",
                  label="the best so far, mean of all kernels; as searched, not proven")
    axis.axhline(1, color="black", linewidth=0.5)
    axis.set_ylim(bottom * 0.97)
    _logarithmic(axis)
    axis.set_xlabel("minutes" if shown or failed else "no candidate was measured")
    axis.set_ylabel("speed over the values\nthat the search began with")
    if shown or failed:
        axis.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)


def _logarithmic(axis):
    low, high = axis.get_ylim()
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 5 * low else MaxNLocator(6))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    axis.minorticks_off()


def _reasons(session):
    """The kinds of failures, the most frequent first."""
    kinds = {}
    for _, _, why in session.failures.new:
        kind = next((words for words in ("does not compile", "changes bits", "does not run", "said nothing", "SIG")
                     if words in why), "others")
        kind = {"said nothing": "hangs", "SIG": "crashes"}.get(kind, kind)
        kinds[kind] = kinds.get(kind, 0) + 1
    return ", ".join(f"{kind} ({count})" for kind, count in sorted(kinds.items(), key=lambda one: -one[1]))


def _validated(axis, notes):
    """Intervals of the measurements that decide, and why values were not taken."""
    for y, note in enumerate(notes):
        taken = note["verdict"] == "taken"
        colour = COLOURS["tuned"] if taken else REFUSED
        if note["interval"]:
            low, middle, high = note["interval"]
            axis.plot([low, high], [y, y], color=colour)
            axis.plot([middle], [y], "o", color=colour, markersize=5, fillstyle="full" if taken else "none")
        axis.annotate(note["verdict"][:70], (1.0, y), xycoords=("axes fraction", "data"), xytext=(4, 0),
                      textcoords="offset points", va="center", fontsize=7, color=colour)
    axis.axvline(1, color="black", linewidth=0.5)
    axis.set_yticks(range(len(notes)), [str(note["slot"]) for note in notes], fontsize=7)
    axis.set_ylim(len(notes) - 0.5, -0.5)
    axis.set_xlabel("validation: speed over the values that the search began with, 95% intervals")


def _rows(axis, compared):
    """The new file over the old one, the slowest row first."""
    found = sorted((speeds["before"] for speeds in compared.values()), key=lambda interval: interval[1])
    for x, (low, _, high) in enumerate(found):
        axis.plot([x, x], [low, high], color=COLOURS["untuned"], linewidth=1.5)
    axis.plot([middle for _, middle, _ in found], ".", color=COLOURS["tuned"])
    mean = math.exp(sum(math.log(middle) for _, middle, _ in found) / len(found))
    axis.axhline(1, color="black", linewidth=0.5)
    axis.set_ylim(found[0][1] / 1.5, found[-1][1] * 1.5)  # wide intervals are cut
    _logarithmic(axis)
    axis.set_ylabel("speed of the new file\nover the old one")
    axis.set_xlabel(f"{len(found)} rows that call a changed kernel, by speed; 95% intervals; geometric mean {mean:.3f}")
