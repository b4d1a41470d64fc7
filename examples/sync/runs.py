"""What example_sync wrote."""

import csv
from collections import defaultdict
from typing import NamedTuple


class Setting(NamedTuple):
    network: str
    batch: int

    def of_process(self, processes):
        return self.batch // processes


class Way(NamedTuple):
    processes: int
    statistics: str


ALONE = Way(1, "own")


def read(path):
    """runs[setting][way][seed] is a list of the steps' rows: dicts of numbers, None where there is none."""
    runs = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            setting = Setting(row.pop("network"), int(row.pop("batch")))
            way = Way(int(row.pop("processes")), row.pop("statistics"))
            seed = row.pop("seed")
            runs[setting][way][seed].append({name: float(text) if text else None for name, text in row.items()})
    return runs


def last(rows, value):
    return next(row[value] for row in reversed(rows) if row[value] is not None)
