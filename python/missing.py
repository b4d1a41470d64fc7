"""Prints what this environment lacks to build and test the wheel, or nothing."""
import importlib.util
import os
import sysconfig

modules = ["auditwheel", "ml_dtypes", "nanobind", "numpy", "pytest", "scikit_build_core"]
missing = [module for module in modules if importlib.util.find_spec(module) is None]
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    missing.append("Python.h")
print(", ".join(missing))
