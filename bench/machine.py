"""What the figures were measured on."""
import ctypes
from pathlib import Path


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown CPU"


def device_name(device):
    """What its driver calls the device that hnorm takes where nothing is said, and the driver's version."""
    return {"cuda": _cuda_name, "opencl": _opencl_name}[device]()


def _cuda_name():
    driver, name, version = ctypes.CDLL("libcuda.so.1"), ctypes.create_string_buffer(256), ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetName(name, len(name), 0):
        raise OSError("CUDA's driver finds no device")
    driver.cuDriverGetVersion(ctypes.byref(version))
    return f"{name.value.decode()}, CUDA {version.value // 1000}.{version.value % 1000 // 10}"


def _opencl_name():
    library, platform, device = ctypes.CDLL("libOpenCL.so.1"), ctypes.c_void_p(), ctypes.c_void_p()
    every_device, name, driver = ctypes.c_uint64(0xFFFFFFFF), 0x102B, 0x102D
    if (library.clGetPlatformIDs(1, ctypes.byref(platform), None)
            or library.clGetDeviceIDs(platform, every_device, 1, ctypes.byref(device), None)):
        raise OSError("OpenCL finds no device")

    def info(what):
        text = ctypes.create_string_buffer(256)
        library.clGetDeviceInfo(device, what, ctypes.c_size_t(len(text) - 1), text, None)
        return text.value.decode()

    return f"{info(name)}, driver {info(driver)}"


def caches():
    """The data caches that a core reaches, in Google Benchmark's form; none where Linux does not say."""
    found = []
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind, level, size = ((index / name).read_text().strip() for name in ("type", "level", "size"))
        if kind != "Instruction":
            found.append({"type": kind, "level": int(level),
                          "size": int(size[:-1]) * {"K": 1 << 10, "M": 1 << 20}[size[-1]]})
    return found


def last_level_cache():
    """Bytes; 64 MiB where Linux does not say."""
    return max((cache["size"] for cache in caches()), default=64 << 20)
