"""AlexNet (Krizhevsky, Sutskever, Hinton, NIPS 2012) in JAX: the paper's experiment, whole."""

import sys

__version__ = "0.1.0"

if sys.argv[:1] == ["-m"]:  # Python looks for a command of this package, as in `python -m`
    from alexnet_jax.system.starting import leave_with_a_line

    leave_with_a_line()
