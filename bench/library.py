"""The measuring engine (engine/shared.cpp) in a shared library with the kernels that it times."""
import ctypes
import json


class Library:
    """hnorm as it is built, or with a dispatch table of other kernels (tune/variants.py)."""

    def __init__(self, path):
        self.path = path
        library = self.library = ctypes.CDLL(str(path))
        library.hnorm_bench_error.restype = library.hnorm_bench_machine.restype = ctypes.c_char_p
        library.hnorm_bench_memory.restype = ctypes.c_void_p
        library.hnorm_bench_time.restype = ctypes.c_double
        library.hnorm_bench_seconds.restype = ctypes.POINTER(ctypes.c_double)
        library.hnorm_bench_fill.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int64]
        library.hnorm_bench_measure.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_double,
                                                ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int]
        machine = library.hnorm_bench_machine().decode()
        if not machine:
            raise self._reason()
        self.machine = json.loads(machine)
        self._failure, self._callbacks = None, []

    def _reason(self):
        return RuntimeError(self.library.hnorm_bench_error().decode())

    def _call(self, function, *arguments):
        if function(*arguments):
            raise self._failure or self._reason()

    def set_threads(self, count):
        self._call(self.library.hnorm_bench_set_threads, count)

    def open(self, row, other=None):
        """other: a library that has the row open, too: the calls are on its memory."""
        self._callbacks.clear()
        self._call(self.library.hnorm_bench_open, row.encode(), other and self._pointer(other, "memory"))

    @staticmethod
    def _pointer(library, function):
        return ctypes.cast(getattr(library.library, f"hnorm_bench_{function}"), ctypes.c_void_p)

    def add_other(self, name, other, contender):
        """A contender of another library, in which the row is open."""
        self.library.hnorm_bench_add_other(name.encode(), self._pointer(other, "time"), contender.encode())

    def memory(self, name):
        """Of the open row: the address of an array."""
        return self.library.hnorm_bench_memory(name.encode())

    def fill(self, name, values):
        """Of the open row: gives an array the values of NumPy's one."""
        self._call(self.library.hnorm_bench_fill, name.encode(), values.ctypes.data, values.nbytes)

    def time(self, name, calls):
        seconds = self.library.hnorm_bench_time(name.encode(), calls)
        if seconds < 0:
            raise self._reason()
        return seconds

    def add(self, name, timer):
        """A contender besides the library's own: timer(calls) returns the seconds of one."""
        def guarded(calls):
            try:
                return timer(calls)
            except Exception as failure:  # it cannot pass through C++
                self._failure = failure
                return -1.0

        callback = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int)(guarded)
        self._callbacks.append(callback)
        self.library.hnorm_bench_add(name.encode(), callback)

    def measure(self, names, effort, evict=0, settle=False):
        """{name: seconds of a call by round}; where a contender is slow its list is shorter. effort: seconds for each,
        least rounds, most. evict: so many bytes of the caches before each timing, of one call then. settle: whether to
        wait before each until other libraries' threads are at rest."""
        encoded = (ctypes.c_char_p * len(names))(*(name.encode() for name in names))
        self._failure = None
        self._call(self.library.hnorm_bench_measure, encoded, len(names), *effort, evict, settle)
        found, count = {}, ctypes.c_int()
        for name in names:
            seconds = self.library.hnorm_bench_seconds(name.encode(), ctypes.byref(count))
            found[name] = seconds[:count.value]
        return found
