"""What pyproject.toml cannot say: the recipes of configs/ are installed inside the package."""

from setuptools import find_namespace_packages, setup

setup(
    packages=[*find_namespace_packages(include=["alexnet_jax*"]), "alexnet_jax.recipes"],
    package_dir={"alexnet_jax.recipes": "configs"},
)
