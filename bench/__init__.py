"""The comparison behind `./dev bench --variants`, `--peers` and `--plot`: docs/benchmarks.md."""
