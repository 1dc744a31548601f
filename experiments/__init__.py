"""Benchmarks, parity, sweeps and claims: modules to run with python -m, and their records."""
