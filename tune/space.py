"""What may be varied: schedules/space/cpu.json, as a target's schedule sees it."""
import json
import random
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Stopped(Exception):
    """Nothing more can be gained, or the time is over."""


@dataclass(frozen=True, order=True)
class Slot:
    """One compiled kernel of a target: a kernel of the manifest for a class of planes and a type of elements."""

    kernel: str
    planes: str
    type: str

    def __str__(self):
        return f"{self.kernel}/{self.planes}/{self.type}"


class Manifest:
    """generators/kernels.json."""

    def __init__(self):
        data = json.loads((ROOT / "generators/kernels.json").read_text())
        self.kernels = {kernel["name"]: kernel for kernel in data["kernels"]}
        self.planes, self.features = data["planes"], data["features"]
        self.groups, self.layouts, self.types = data["groups"], data["layouts"], data["types"]

    def slots(self):
        return [
            Slot(name, planes, type_)
            for type_ in self.types
            for name, kernel in self.kernels.items()
            for planes in kernel["planes"]
        ]


class Space:
    """Which knobs a kernel reads, and their legal values on a target whose vectors hold `vector` floats."""

    def __init__(self, manifest, vector):
        self.manifest, self.vector = manifest, vector
        self.data = json.loads((ROOT / "schedules/space/cpu.json").read_text())
        self.vectors = self.data["vectors"]["names"]
        self.ordered = self.data["ordered"]["pairs"]

    def knobs(self, slot):
        """name -> legal values, in the order of the space's file."""
        template = self.data["templates"][self.manifest.kernels[slot.kernel]["template"]]
        return {name: self.values(name) for name in template[slot.planes]}

    def values(self, name):
        most = 2 * self.vector if name in self.vectors else float("inf")
        return [value for value in self.data["knobs"][name]["values"] if value <= most]

    def default(self, slot):
        """What the generators take where a schedule says nothing."""
        return {name: self._default(name) for name in self.knobs(slot)}

    def _default(self, name):
        default = self.data["knobs"][name]["default"]
        return self.vector if default == "target" else default

    def problem(self, slot, point):
        """Why a point is not legal, or None."""
        knobs = self.knobs(slot)
        for name, value in point.items():
            if name not in knobs:
                return f"{slot}: knob {name} does not concern it: it reads {', '.join(knobs)}"
            if value not in knobs[name]:
                return f"{slot}: knob {name} is {value}: it must be one of {', '.join(map(str, knobs[name]))}"
        whole = self.default(slot) | point
        for less, more in self.ordered:
            if whole.get(less, 0) > whole.get(more, float("inf")):
                return f"{slot}: knob {more} is {whole[more]}: it must be at least {less}, which is {whole[less]}"
        return None

    def random_point(self, slot, seed):
        draw, knobs = random.Random(f"{slot} {seed}"), self.knobs(slot)
        while True:
            point = {name: draw.choice(values) for name, values in knobs.items()}
            if self.problem(slot, point) is None:
                return point

    def nearest(self, slot, point):
        """A legal point from one of another target or kernel: values clamped, knobs that do not concern it dropped."""
        whole = self.default(slot)
        for name, values in self.knobs(slot).items():
            if name in point:
                whole[name] = min(values, key=lambda value: (abs(value - point[name]), value))
        for less, more in self.ordered:
            if less in whole and more in whole and whole[less] > whole[more]:
                whole[more] = whole[less]
        return whole if self.problem(slot, whole) is None else self.default(slot)
