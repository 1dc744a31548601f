"""Read a pickle of NumPy arrays from an untrusted file: nothing that it names is ever called.

A pickle may name any function for the reader to call. This reader accepts only the three names that
a pickled array needs, and calls substitutes for them. It reads arrays, dicts, lists, tuples, text
and numbers, and refuses everything else.
"""

import io
import pickle
import pickletools
from typing import Any

import numpy as np

_NOT_OF_NUMPY = ("DUP", "POP", "POP_MARK", "FROZENSET", "OBJ", "INST", "NEWOBJ", "NEWOBJ_EX")
_DTYPES = ("u1", "f2", "f4", "f8", "i4", "i8", "O8", "O4", "O")


def load(data: bytes, *, encoding: str, most_steps: int) -> Any:
    """Return what a pickle holds; an array of one object is that object.

    Args:
      data: the pickle.
      encoding: of the text of Python 2: latin1, or bytes.
      most_steps: a pickle of more steps is refused before it is run.

    Raises:
      ValueError: it holds other objects than arrays, or could grow. A damaged pickle may raise any
        other error.
    """
    _check_bounded(data, most_steps)
    return _whole(_Reader(io.BytesIO(data), encoding=encoding).load(), {})


def _check_bounded(data: bytes, most_steps: int) -> None:
    """Refuse a pickle that could grow: too many steps, or tuples that stand in several places.

    A tuple may be the name of something, which is hashed whole when it is unpickled. NumPy's
    pickles have no tuple twice.
    """
    tuples, new, on_top = set(), 0, False
    for count, (step, argument, _) in enumerate(pickletools.genops(data)):
        index = argument if isinstance(argument, int) else new
        if count > most_steps or (step.name.endswith("PUT") and index > most_steps):
            raise ValueError(f"its pickle has more than {most_steps} steps")
        if step.name.endswith("PUT") or step.name == "MEMOIZE":
            if on_top:
                tuples.add(index)
            new += 1
        elif step.name in _NOT_OF_NUMPY or (step.name.endswith("GET") and index in tuples):
            raise ValueError(f"its pickle has a step that NumPy never writes, {step.name}")
        elif step.name != "FRAME":  # BUILD and others leave what was there before
            on_top = step.name.startswith(("TUPLE", "BUILD", "APPEND", "SETITEM"))


class _Dtype:
    def __init__(self, code: Any = None, *_: Any):
        code = code.decode() if isinstance(code, bytes) else code
        if not isinstance(code, str) or code not in _DTYPES:
            what = repr(code) if isinstance(code, str) else "something else"
            raise ValueError(f"it holds an array of {what}, expected numbers")
        self.code, self.order = code, "<"

    def __setstate__(self, state: Any) -> None:
        self.order = ">" if state[1] in (">", b">") else "<"


class _Array:
    """The state that numpy.ndarray.__setstate__ would get."""

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.dtype, self.fortran, self.raw = state


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        allowed: dict[tuple[str, str], Any] = {
            ("multiarray", "_reconstruct"): lambda *_: _Array(),
            ("numpy", "ndarray"): None,  # the first argument of _reconstruct
            ("numpy", "dtype"): _Dtype,
        }
        short = module if module == "numpy" else module.removeprefix("numpy.")
        short = short.removeprefix("_core.").removeprefix("core.")
        if not module.startswith("numpy") or (short, name) not in allowed:
            raise ValueError(f"its pickle asks for {module}.{name}; only arrays are read")
        return allowed[short, name]

    def persistent_load(self, pid: Any) -> Any:
        raise ValueError("its pickle refers to another file")


def _whole(value: Any, made: dict[int, Any]) -> Any:
    """Return the value with NumPy's arrays for each _Array; an array of one object is unpacked.

    Args:
      value: what was unpickled.
      made: id of a value -> what became of it. A list that stands in many places is made once.
    """
    if id(value) in made:
        if made[id(value)] is None:
            raise ValueError("its pickle holds a list that contains itself")
        return made[id(value)]
    if not isinstance(value, _Array | dict | list | tuple):
        return value
    made[id(value)] = None
    if isinstance(value, dict):
        done: Any = {key: _whole(item, made) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        done = [_whole(item, made) for item in value]
    elif isinstance(value.raw, list):  # of objects
        if len(value.raw) != 1:
            raise ValueError(f"it holds {len(value.raw)} objects, expected one dict")
        done = _whole(value.raw[0], made)
    else:
        raw = value.raw.encode("latin1") if isinstance(value.raw, str) else value.raw
        dtype = np.dtype(f"{value.dtype.order}{value.dtype.code}")
        array = np.frombuffer(raw, dtype)
        done = array.reshape(value.shape, order="F" if value.fortran else "C")
    made[id(value)] = done
    return done
