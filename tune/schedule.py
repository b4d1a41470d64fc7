"""Schedule files, schedules/<target>.json."""
import copy
import json

from .space import ROOT, CpuSpace, GpuSpace, Slot


def vector_of(halide_features):
    """Floats of the target's vector, as Halide's natural_vector_size has it."""
    for feature, floats in (("avx512", 16), ("avx", 8)):
        if feature in halide_features:
            return floats
    return 4


def known_targets(devices=False):
    """Of CPUs, or of devices: their files say which "device"."""
    files = {path.stem: json.loads(path.read_text()) for path in (ROOT / "schedules").glob("*.json")}
    return sorted(name for name, data in files.items() if ("device" in data) == devices)


class Schedule:
    def __init__(self, data, manifest):
        self.data, self.manifest = data, manifest
        self.target = data["target"]
        self.device = data.get("device")
        self.space = GpuSpace(manifest) if self.device else CpuSpace(manifest, vector_of(data["halide_features"]))

    @classmethod
    def of_target(cls, target, manifest):
        if target not in known_targets(manifest.devices):
            known = ", ".join(known_targets() + known_targets(devices=True))
            raise ValueError(f"target {target}: schedules/ has {known}")
        return cls(json.loads(cls.path(target).read_text()), manifest)

    @staticmethod
    def path(target):
        return ROOT / "schedules" / f"{target}.json"

    @property
    def halide_target(self):
        return "-".join([self.data["halide_arch"], "linux", *self.data["halide_features"]])

    def point(self, slot):
        """All knobs of a kernel: what the file says, else the default; an object named by the type replaces some."""
        values = self.data["kernels"].get(slot.kernel, {}).get(slot.planes, {})
        own = values.get(slot.type, {})
        return self.space.default(slot) | {k: v for k, v in values.items() if k not in self.manifest.types} | own

    def problems(self):
        """What of the kernels is not legal. The build refuses the same, and what of `dispatch` is not
        (cmake/Manifest.cmake)."""
        problems = [f"kernels: {name} is unknown: it must be one of {', '.join(self.manifest.kernels)}"
                    for name in self.data["kernels"] if name not in self.manifest.kernels]
        for name, kernel in self.manifest.kernels.items():
            problems += [f"{name}: {planes} is unknown: it must be one of {', '.join(kernel['planes'])}"
                         for planes in self.data["kernels"].get(name, {}) if planes not in kernel["planes"]]
        return problems + [problem for slot in self.manifest.slots()
                           if (problem := self.space.problem(slot, self.point(slot)))]

    def with_points(self, points):
        """A copy in which some slots have other knobs and all others keep theirs."""
        data = copy.deepcopy(self.data)
        first, *others = self.manifest.types
        for kernel, planes in {(slot.kernel, slot.planes) for slot in points}:
            of_type = {t: points.get(Slot(kernel, planes, t), self.point(Slot(kernel, planes, t)))
                       for t in self.manifest.types}
            line = dict(of_type[first])
            for type_ in others:
                differing = {k: v for k, v in of_type[type_].items() if line[k] != v}
                if differing:
                    line[type_] = differing
            data["kernels"].setdefault(kernel, {})[planes] = line
        return Schedule(data, self.manifest)

    def text(self):
        """JSON as the committed files have it."""
        return _text(self.data, 0) + "\n"


def _text(value, depth):
    """What fits a line stands on one, and a kernel's knobs for a class of planes always do."""
    flat = json.dumps(value, ensure_ascii=False)
    nested = isinstance(value, dict) and any(isinstance(item, dict) for item in value.values())
    fits = len(flat) + 4 * depth <= 120 and not nested
    if not isinstance(value, (dict, list)) or not value or fits or depth == 3:
        return flat
    inner = " " * 4 * (depth + 1)
    if isinstance(value, dict):
        items = [f"{inner}{json.dumps(name)}: {_text(item, depth + 1)}" for name, item in value.items()]
        opening, closing = "{}"
    else:
        items = [inner + _text(item, depth + 1) for item in value]
        opening, closing = "[]"
    return f"{opening}\n" + ",\n".join(items) + "\n" + " " * 4 * depth + closing
