"""A shared library whose C functions time contenders (tune/runner/shared.cpp, bench/device.cpp)."""
import ctypes


class Library:
    def __init__(self, path):
        self.library = ctypes.CDLL(str(path))
        self.library.hnorm_compare_error.restype = ctypes.c_char_p
        self.library.hnorm_compare_memory.restype = ctypes.c_void_p
        self.library.hnorm_compare_time.restype = ctypes.c_double

    def _reason(self):
        return RuntimeError(self.library.hnorm_compare_error().decode())

    def _call(self, function, *arguments):
        if function(*arguments):
            raise self._reason()

    def _timer(self, name):
        def timer(times):
            seconds = self.library.hnorm_compare_time(name.encode(), times)
            if seconds < 0:
                raise self._reason()
            return seconds

        return timer

    def memory(self, name):
        return self.library.hnorm_compare_memory(name.encode())
