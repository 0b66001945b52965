"""Programs that measure Ingestboard beside a named peer, in one run; the tables of docs/benchmarks.md come from here.

`python -m benchmarks.NAME [--quick] [--write]`. A figure is quoted as a ratio to its peer, and never tested.
"""
