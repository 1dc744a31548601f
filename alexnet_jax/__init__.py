"""AlexNet (Krizhevsky, Sutskever, Hinton, NIPS 2012) in JAX: the paper's experiment, whole."""

__version__ = "0.1.0"
