"""What may be varied: schedules/space/, as a target's schedule sees it."""
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

    @property
    def name(self):
        """As part of a name in C. Kernels of groups on devices have no class and type."""
        return f"{self.kernel}_{self.planes}_{self.type}".rstrip("_")


class Manifest:
    """generators/kernels.json: the kernels of CPUs, or those of devices; of one alone if `devices` is its name.
    checked: the CPUs' check their arguments and the sizes of their buffers (docs/reliability.md)."""

    def __init__(self, devices=False, checked=False):
        data = json.loads((ROOT / "generators/kernels.json").read_text())
        for kernel in (*data["kernels"], *data["device_kernels"], *data["device_group_kernels"]):
            kernel.setdefault("planes", data["planes"])
            kernel.setdefault("parameters", {})
        self.devices = devices
        self.kernels = {kernel["name"]: kernel for kernel in data["device_kernels" if devices else "kernels"]}
        # Without knobs, classes of planes and types.
        self.group_kernels = {kernel["name"]: kernel for kernel in data["device_group_kernels"]} if devices else {}
        features = data["device_features" if devices else "features"]
        self.features = [feature for feature in features if feature != "no_asserts" or not checked]
        self.planes, self.groups = data["planes"], data["groups"]
        self.layouts, self.types = data["layouts"], data["types"]

    def slots(self):
        return [
            Slot(name, planes, type_)
            for type_ in self.types
            for name, kernel in self.kernels.items()
            if type_ in kernel.get(f"{self.devices}_types", self.types)
            for planes in kernel["planes"]
        ]

    def served(self, slot):
        """The classes of planes that a kernel takes: also tiny ones, where there is none for those alone."""
        alone = slot.planes != "small" or "tiny" in self.kernels[slot.kernel]["planes"]
        return [slot.planes] if alone else [slot.planes, "tiny"]


class Space:
    """Which knobs a kernel reads, and their legal values."""

    def __init__(self, manifest, file):
        self.manifest = manifest
        self.data = json.loads((ROOT / "schedules/space" / file).read_text())

    def knobs(self, slot):
        """name -> legal values, in the order of the space's file."""
        template = self.data["templates"][self.manifest.kernels[slot.kernel]["template"]]
        return {name: self.values(name) for name in template[slot.planes]}

    def values(self, name):
        return self.data["knobs"][name]["values"]

    def default(self, slot):
        """What a kernel has where a schedule says nothing."""
        return {name: self._default(name) for name in self.knobs(slot)}

    def _default(self, name):
        return self.data["knobs"][name]["default"]

    def problem(self, slot, point):
        """Why a point is not legal, or None."""
        knobs = self.knobs(slot)
        for name, value in point.items():
            if name not in knobs:
                return f"{slot}: knob {name} does not concern it: it reads {', '.join(knobs)}"
            if value not in knobs[name]:
                return f"{slot}: knob {name} is {value}: it must be one of {', '.join(map(str, knobs[name]))}"
        conflict = self._conflict(slot, self.default(slot) | point)
        return f"{slot}: {conflict}" if conflict else None

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
        self._settle(slot, whole)
        return whole if self.problem(slot, whole) is None else self.default(slot)

    # Of values that are legal each by itself:

    def _conflict(self, slot, whole):
        """Why they may not stand together, or None."""
        raise NotImplementedError

    def _settle(self, slot, whole):
        """Changes some so that they may, where that is plain."""


class CpuSpace(Space):
    """Of a target whose vectors hold `vector` floats."""

    def __init__(self, manifest, vector):
        super().__init__(manifest, "cpu.json")
        self.vector, self.vectors, self.ordered = vector, self.data["vectors"]["names"], self.data["ordered"]["pairs"]

    def values(self, name):
        most = 2 * self.vector if name in self.vectors else float("inf")
        return [value for value in super().values(name) if value <= most]

    def _default(self, name):
        default = super()._default(name)
        return self.vector if default == "target" else default

    def _conflict(self, slot, whole):
        for less, more in self.ordered:
            if whole.get(less, 0) > whole.get(more, float("inf")):
                return f"knob {more} is {whole[more]}: it must be at least {less}, which is {whole[less]}"
        return None

    def _settle(self, slot, whole):
        for less, more in self.ordered:
            if less in whole and more in whole and whole[less] > whole[more]:
                whole[more] = whole[less]


class GpuSpace(Space):
    def __init__(self, manifest):
        super().__init__(manifest, "gpu.json")

    def _conflict(self, slot, whole):
        blocks = self.data["blocks"]
        threads, whole = blocks["threads"], whole | {"lanes": blocks["lanes"][slot.planes]}
        for knob, other in blocks["products"]:
            if other in whole and whole.get(knob, 0) > threads // whole[other]:
                return (f"knob {knob} is {whole[knob]}: it must be at most {threads // whole[other]} where {other} is "
                        f"{whole[other]}: a block has at most {threads} threads")
        return None
