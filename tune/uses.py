"""Which kernels the rows call: what there is to tune, and by which rows."""
from collections import Counter

from bench.rows import Row

from .process import rows_of


class Uses:
    """of: {row: the slots that it calls}. main_rows: of the main operations, or of those that the list names."""

    def __init__(self, schedule, builder, rows, main_rows):
        self.main_rows = main_rows
        names = {str(slot): slot for slot in schedule.manifest.slots()}
        found = rows_of(builder.stubs(), ["uses"], rows)
        self.of = {line["case"]: [names[name] for name in line["kernels"] if name in names] for line in found}
        used = {slot for slots in self.of.values() for slot in slots}
        # The most important first: f32's that the main rows call; f32's others; the other types'.
        main = {slot for row, slots in self.of.items() if row in main_rows for slot in slots}
        self.tier = {slot: (1 if slot in main else 2) if slot.type == "f32" else 3 for slot in used}
        # Among equals, the kernels that more rows call.
        calls = Counter(slot for slots in self.of.values() for slot in slots)
        self.slots = sorted(used, key=lambda slot: (self.tier[slot], -calls[slot], str(slot)))

    def rows_for(self, slot, count):
        """Rows that call the kernel and as little else as possible, spread from the smallest tensor to the largest."""
        calling = [row for row, slots in self.of.items() if slot in slots]
        calling = [row for row in calling if row in self.main_rows] or calling
        least = min(len(self.of[row]) for row in calling)
        return spread([row for row in calling if len(self.of[row]) == least], count)

    def of_file(self, slots=None):
        """Rows of a comparison of whole files: f32's of the main rows first. slots: only those that call one."""
        rows = [row for row, called in self.of.items() if slots is None or any(slot in slots for slot in called)]
        return sorted(rows, key=lambda row: not (row in self.main_rows and row.split("/")[3] == "f32"))


def spread(rows, count):
    rows = sorted(rows, key=lambda row: (Row(row).elements, row))
    if len(rows) <= count:
        return rows
    return [rows[round(i * (len(rows) - 1) / (count - 1))] for i in range(count)]
