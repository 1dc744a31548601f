"""The named nets: what a row holds (fields), the rows (table), a row with changes (resolving)."""

from alexnet_jax.spec.fields import (
    LRN,
    Dropout,
    Init,
    Layer,
    PerLayer,
    Pool,
    SpatialNorm,
    Spec,
)
from alexnet_jax.spec.resolving import CHOICES, overrides, resolve
from alexnet_jax.spec.table import SPECS

__all__ = [
    "CHOICES",
    "LRN",
    "SPECS",
    "Dropout",
    "Init",
    "Layer",
    "PerLayer",
    "Pool",
    "SpatialNorm",
    "Spec",
    "overrides",
    "resolve",
]
