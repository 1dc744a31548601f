"""Find a net's tensors in a file, whatever wraps them and whatever prefix their names have.

Training programs store a state dict alone, under "state_dict", "model", "module", ..., beside an
optimizer and moving averages (EMA), and wrappers put "module.", "_orig_mod.", "model." before each
name. The names of the convolutions say what is the net: conv1 to conv5, or torchvision's.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

# torchvision.models.alexnet
TORCHVISION = {
    **{"conv1": "features.0", "conv2": "features.3", "conv3": "features.6", "conv4": "features.8"},
    **{"conv5": "features.10", "fc6": "classifier.1", "fc7": "classifier.4", "fc8": "classifier.6"},
}
# No block of a ResNet has a conv5.
_CONVOLUTIONS = (("conv1.weight", "conv5.weight"), ("features.0.weight", "features.10.weight"))
_WRAPPERS = re.compile(r"(?<![^.])(module|_orig_mod)\.")  # DataParallel's, torch.compile's
_AVERAGED = re.compile(r"ema|averag|swa", re.IGNORECASE)
_DEEPEST = 3  # dictionaries in each other
_MOST_NAMES, _MOST_NETS = 100_000, 100  # of a file


def find(
    content: Mapping, is_tensor: Callable[[Any], bool]
) -> tuple[dict[str, Any], list[str]] | None:
    """Return the tensors of the net by name, without prefixes, and what was left out.

    Of several copies the first is taken that is no moving average, and is least deep.

    Args:
      content: what the file holds, dictionaries in each other.
      is_tensor: whether a value is a tensor.

    Returns:
      None if there is no net.

    Raises:
      ValueError: it holds so many names that a search would take long.
    """
    copies, seen = [], 0
    for path, state in _dictionaries(content, ()):
        seen += 1 + len(state)
        names = {
            _WRAPPERS.sub("", name): value
            for name, value in state.items()
            if isinstance(name, str) and is_tensor(value)
        }
        copies += [(path, prefix, names) for prefix in _prefixes(names)]
        if seen > _MOST_NAMES or len(copies) > _MOST_NETS:
            raise ValueError("it holds too many names: save the net's state dict alone")
    if not copies:
        return None
    copies.sort(key=lambda copy: (bool(_AVERAGED.search(_where(*copy[:2]))), len(copy[0])))
    path, prefix, names = copies[0]
    others = {other for where, other, _ in copies if where == path and other != prefix}
    tensors, left = {}, []
    for name, value in names.items():
        if name.startswith(prefix) and not any(
            name.startswith(other) for other in others if len(other) > len(prefix)
        ):
            tensors[name.removeprefix(prefix)] = value
        else:
            left.append(name)
    left += [_where(*other[:2]) for other in copies[1:] if other[0] != path]
    left += [str(key) for key in content if isinstance(key, str) and path[:1] not in ((), (key,))]
    return tensors, sorted(set(left))


def ours(name: str) -> str:
    """Return our name of a tensor: torchvision's layers, and Caffe's convolutional fc6-conv."""
    layer, _, kind = name.rpartition(".")
    layer = re.sub(r"^(fc[678])[-_]conv$", r"\1", layer)
    return f"{_OURS.get(layer, layer)}.{kind}" if layer else name


def torchvisions(name: str) -> str:
    """Return torchvision's name of a tensor."""
    layer, _, kind = name.rpartition(".")
    return f"{TORCHVISION.get(layer, layer)}.{kind}"


_OURS = {theirs: name for name, theirs in TORCHVISION.items()}


def _dictionaries(content: Mapping, path: tuple[str, ...]) -> Iterator[tuple[tuple, Mapping]]:
    yield path, content
    for key, value in content.items():
        if isinstance(value, Mapping) and isinstance(key, str) and len(path) < _DEEPEST:
            yield from _dictionaries(value, (*path, key))


def _prefixes(names: Mapping[str, Any]) -> list[str]:
    """Return what stands before the names of each copy of the net."""
    return [
        prefix
        for first, last in _CONVOLUTIONS
        for name in names
        if name.endswith(first)
        and (not (prefix := name.removesuffix(first)) or prefix.endswith("."))
        and prefix + last in names
    ]


def _where(path: tuple[str, ...], prefix: str) -> str:
    return ".".join((*path, prefix.removesuffix("."))).strip(".")
