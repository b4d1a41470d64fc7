"""Schedule files: schedules/<target>.json, and schedules/by_cpu for some models of CPU."""
import contextlib
import copy
import json
import os
from pathlib import Path

from .space import ROOT, CpuSpace, GpuSpace, Manifest, Slot

BY_CPU = ROOT / "schedules/by_cpu"
UNPROVEN = "unproven.json"  # beside the journal: the file before, while the new one is being proven


def vector_of(halide_features):
    """Floats of the target's vector, as Halide's natural_vector_size has it."""
    for feature, floats in (("avx512", 16), ("avx", 8)):
        if feature in halide_features:
            return floats
    return 4


def known_targets(devices=False):
    """Of CPUs, or of devices: their files say which "device"."""
    files = {path.stem: json.loads(path.read_text()) for path in (ROOT / "schedules").glob("*.json")}
    return sorted(name for name, data in files.items() if ("device" in data) == bool(devices))


def write(path, text):
    """Whole, or as it was."""
    new = path.with_name(f".{path.name}.new")
    try:
        with open(new, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def in_place(path, text, folder, patiently):
    """A file whose text is proven in the body: where it is not, or the tuner is ended, the file is what it was."""
    unproven = folder / UNPROVEN
    before = json.dumps({"path": str(path), "before": path.read_text() if path.exists() else None})
    path.parent.mkdir(exist_ok=True)
    patiently(lambda: write(unproven, before))
    patiently(lambda: write(path, text))
    try:
        yield
    except BaseException:
        restore(folder)
        raise
    unproven.unlink()


def restore(folder):
    """What a run that was ended while it proved its values had left in place. Returns the file's path, if there was
    such."""
    unproven = folder / UNPROVEN
    if not unproven.exists():
        return None
    found = json.loads(unproven.read_text())
    path = Path(found["path"])
    if found["before"] is None:
        path.unlink(missing_ok=True)
    else:
        write(path, found["before"])  # newer than what was built by the values that are gone
    unproven.unlink()
    return path


class Schedule:
    cpus = None  # the models of CPU that the file is for: any

    def __init__(self, data, manifest):
        self.data, self.target = data, data["target"]
        self.device = data.get("device")
        self.manifest = Manifest(devices=self.target) if self.device else manifest  # of this device alone
        features = data["halide_features"]
        self.space = GpuSpace(self.manifest) if self.device else CpuSpace(manifest, vector_of(features))

    @classmethod
    def of_target(cls, target, manifest):
        if target not in known_targets(manifest.devices):
            known = ", ".join(known_targets() + known_targets(devices=True))
            raise ValueError(f"target {target}: schedules/ has {known}")
        return cls(json.loads(cls.path(target).read_text()), manifest)

    @classmethod
    def of_file(cls, path, manifest):
        """Of a target, or of some CPUs: then with the values of the target's file that it does not replace."""
        data = json.loads(Path(path).read_text())
        if "cpus" not in data:
            return cls(data, manifest)
        whole = cls.of_target(data["target"], manifest)
        for name in ("kernels", "dispatch"):
            if name in data:
                whole.data[name] = _merged(whole.data.get(name, {}), data[name])
        whole.data["provenance"], whole.cpus = data.get("provenance", {}), data["cpus"]
        return whole

    @classmethod
    def all_of(cls, target, manifest):
        """The target's file, and those of schedules/by_cpu for it."""
        return [cls.of_target(target, manifest),
                *(cls.of_file(path, manifest) for path in sorted(BY_CPU.glob(f"{target}.*.json")))]

    @classmethod
    def of_cpu(cls, target, cpu, manifest):
        """That which the library takes on this model of CPU (nearest_to_cpu in runtime/src/targets.cpp)."""
        _, *files = cls.all_of(target, manifest)
        near = [(distance, i) for i, file in enumerate(files) for model in file.cpus
                if (distance := _distance(model, cpu)) is not None]
        return files[min(near)[1]] if near else cls.of_target(target, manifest)

    @staticmethod
    def path(target):
        return ROOT / "schedules" / f"{target}.json"

    @classmethod
    def path_of_cpu(cls, target, cpu):
        """The file that names this model of CPU, else one that does not exist yet."""
        for path in sorted(BY_CPU.glob(f"{target}.*.json")):
            if cpu in json.loads(path.read_text())["cpus"]:
                return path
        return BY_CPU / f"{target}.{cpu}.json"

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

    def for_cpus(self, cpus, provenance):
        """The data of a file of schedules/by_cpu: what differs from the target's file, each type by itself."""
        base = self.of_target(self.target, self.manifest)
        data = {"target": self.target, "cpus": cpus}
        for name, of in (("kernels", _kernels), ("dispatch", _dispatch)):
            different = _differing(of(self), of(base))
            if different:
                data[name] = different
        return data | {"provenance": provenance}

    def text(self):
        """JSON as the committed files have it."""
        return text_of(self.data)


def _distance(model, other):
    """As cpu_distance in runtime/src/cpu_model.cpp; None: not of one family."""
    (family, number), (other_family, other_number) = (one.rpartition("-")[::2] for one in (model, other))
    if not family or family != other_family:
        return 0 if model == other else None
    return abs(int(number, 16) - int(other_number, 16))


def text_of(data):
    return _text(data, 0) + "\n"


def _kernels(schedule):
    """{(kernel, class, type): {knob: value}}"""
    return {(slot.kernel, slot.planes, slot.type): schedule.point(slot) for slot in schedule.manifest.slots()}


def _dispatch(schedule):
    """{(operation, type): {name: value}}, by the rule of cmake/Manifest.cmake."""
    if schedule.device:
        return {}
    space, said = schedule.space.data["dispatch"], schedule.data.get("dispatch", {})
    values = {}
    for operation in space["operations"]:
        for type_ in schedule.manifest.types:
            own = said.get(operation, {})
            values[operation, type_] = {name: value["default"] for name, value in space["values"].items()}
            for part in (said, said.get(type_, {}), own, own.get(type_, {})):
                values[operation, type_] |= {name: value for name, value in part.items() if not isinstance(value, dict)}
    return values


def _differing(ours, theirs):
    """What differs, as nested objects."""
    result = {}
    for path, values in ours.items():
        different = {name: value for name, value in values.items() if theirs[path][name] != value}
        if different:
            place = result
            for name in path:
                place = place.setdefault(name, {})
            place.update(different)
    return result


def _merged(ours, theirs):
    merged = dict(ours)
    for name, value in theirs.items():
        merged[name] = _merged(merged.get(name, {}), value) if isinstance(value, dict) else value
    return merged


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
