"""python read_state.py PROGRAM: runs state_for_numpy and compares what NumPy reads from its files, value for value."""

import pathlib
import subprocess
import sys
import tempfile
import zipfile

try:
    import numpy
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit()

with tempfile.TemporaryDirectory() as folder:
    lines = subprocess.run([sys.argv[1], folder], check=True, capture_output=True, text=True).stdout.splitlines()
    expected = {}
    for file, *array in map(str.split, lines):
        arrays = expected.setdefault(file, {})
        if array:
            name, dtype, rank, *values = array
            values = [int(v) if dtype == "int64" else float.fromhex(v) for v in values]
            arrays[name] = numpy.array(values, dtype).reshape(-1 if rank == "1" else ())
    assert len(expected) == 5, lines
    for file, arrays in expected.items():
        path = pathlib.Path(folder, file)
        assert zipfile.ZipFile(path).testzip() is None, file
        with numpy.load(path) as found:
            assert set(found.files) == set(arrays), (file, found.files)
            for name, array in arrays.items():
                assert found[name].dtype == array.dtype and found[name].shape == array.shape, (file, name, found[name])
                assert found[name].tobytes() == array.tobytes(), (file, name, found[name], array)
    print(f"{sum(map(len, expected.values()))} arrays in {len(expected)} files are right")
