"""Benchmarks, parity, sweeps and claims: each a script with its record."""
