"""Recipes as the flags of a command line give them: --config=FILE, --config.field=value."""

import hashlib
import json
import re
import sys
from collections.abc import Sequence

from absl import flags
from ml_collections import ConfigDict, config_flags

from alexnet_jax.errors import ConfigError, UserError
from alexnet_jax.run import config as configs
from alexnet_jax.system import command_line, recipes


def given() -> list[str]:
    """Return the flags of this command line that describe the recipe.

    Raises:
      UserError: one of them has its value in a second word.
    """
    words = [word for word in sys.argv[1:] if re.match(r"--?(no)?config([.=]|$)", word)]
    if wrong := [word for word in words if not re.match(r"--config[^=]*=", word)]:
        raise UserError(f"write it as --config...=value, in one word; got {wrong[0]}")
    return words


def read_config(recipe: Sequence[str]) -> ConfigDict:
    """Return the config that these flags of alexnet_jax.main describe.

    Raises:
      ConfigError: no file, no such field, or a value of the wrong type.
    """
    argv = ["sweep", *recipe]
    values = flags.FlagValues()
    holder = config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
    try:
        values(recipes.with_paths(argv))
        return holder.value
    except (AttributeError, KeyError) as error:
        raise ConfigError(command_line.not_in_config(recipe, error)) from None
    except (flags.Error, TypeError, ValueError, OSError) as error:
        raise ConfigError(str(error)) from None


def digest(config: ConfigDict) -> str:
    """Return a hash of all values of a config."""
    text = json.dumps(configs.flattened(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
