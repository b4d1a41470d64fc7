"""The record, in a schedule file, of where its values come from."""
import datetime


def provenance(session, accepted, compared, command, shapes):
    before, new = session.schedule.data.get("provenance", {}), session.failures.new
    return {
        "method": "tuned: values proposed by Optuna's TPE, kept where measurements apart from the search proved them "
                  "faster; the others are those of the file before (docs/tuner.md)",
        **session.machine,
        "conditions": session.conditions.record(),
        "date": datetime.date.today().isoformat(),
        "command": command,
        "shapes": shapes,
        "candidates": sum(s.tried for s in session.searches.values()),
        **({"failed": [f"{slot} {_text(point)}: {why[:200]}" for slot, point, why in new]} if new else {}),
        "changed": {str(slot): _changed(session, slot, *value) for slot, value in sorted(accepted.items())},
        "speed": {
            "comment": "this file's speed over the file before, the untuned default and the copy floor, in one run: "
                       "medians between their 95% intervals",
            **{row: {name: _rounded(interval) for name, interval in speeds.items()}
               for row, speeds in compared.items()},
        },
        "before": {name: before[name] for name in ("method", "cpu", "gpu", "date", "command", "notes")
                   if name in before},
    }


def _changed(session, slot, point, interval):
    """Values taken as a whole have the speed of the rows that call the kernel. Where the search went on from such
    values, "over" has those that its speed is over."""
    entry = {"speed": _rounded(interval), "from": _differing(session.in_file[slot], point),
             "candidates": session.searches[slot].tried}
    whole = session.wholes.taken.get(slot)
    if whole and whole[0] == point:
        entry["as_a_whole"] = True
    elif whole:
        entry["over"] = _differing(whole[0], point)
    return entry


def _differing(before, point):
    return {name: value for name, value in before.items() if point[name] != value}


def _rounded(interval):
    low, middle, high = interval
    return [round(low, 3), round(middle, 3), round(high, 3)]


def _text(point):
    return " ".join(f"{name}={value}" for name, value in point.items())
