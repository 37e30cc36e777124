"""Settings of all tests."""

import os

# ranx computes the same without numba's compiler, which takes a minute for the few rows of a test.
os.environ["NUMBA_DISABLE_JIT"] = "1"
