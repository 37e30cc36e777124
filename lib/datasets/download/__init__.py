"""Where the files of the published benchmarks come from, and how they get here whole."""
