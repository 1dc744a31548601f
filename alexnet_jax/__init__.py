"""AlexNet (Krizhevsky, Sutskever, Hinton, NIPS 2012) in JAX: the paper's experiment, whole.

    from alexnet_jax import AlexNet, architecture, local_response_norm, predictor, recipe, restore

docs/library.md shows each. Nothing is imported before it is asked for, and no device is started.
"""

import importlib
import sys
from typing import Any

__version__ = "0.1.0"

_MODULES = {
    "AlexNet": "alexnet_jax.net.alexnet",
    "architecture": "alexnet_jax.net.resolving",
    "local_response_norm": "alexnet_jax.net.response_norm",
    "predictor": "alexnet_jax.inference.predictor",
    "recipe": "alexnet_jax.run.config",
    "restore": "alexnet_jax.run.restore",
}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_MODULES]


if sys.argv[:1] == ["-m"]:  # Python looks for a command of this package, as in `python -m`
    from alexnet_jax.system.signals import leave_with_a_line

    leave_with_a_line()
