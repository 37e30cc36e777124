"""Download and unpack the files of the published benchmarks, with checks."""
