"""List the folders and image files of a folder, and count by reason what a listing leaves out."""

import collections
import functools
import importlib.util
import os
import pathlib
from collections.abc import Iterator

from alexnet_jax.errors import DataError

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif"),
)
HEIC_SUFFIXES = (".heic", ".heif", ".hif")
# Folders that systems make beside pictures, in lower case: they hold thumbnails or rubbish.
_SYSTEM_FOLDERS = {
    "@eadir": "thumbnails of a NAS (@eaDir)",
    "__macosx": "files of macOS (__MACOSX)",
    **dict.fromkeys(("#recycle", "@recycle", "$recycle.bin"), "recycled files"),
    **dict.fromkeys(("#snapshot", "@snapshot", "lost+found"), "folders of the file system"),
    "system volume information": "folders of the file system",
}
_DEEPER = "deeper than class/file, taken for pictures of the class"


class LeftOut(collections.Counter[str]):
    """Counts files and folders that a listing leaves out, by reason."""

    def file(self, name: str) -> None:
        """Count a file that is no image by its name."""
        ending = os.path.splitext(name)[1].lower()
        if name.startswith("."):
            self["hidden files"] += 1
        elif ending in HEIC_SUFFIXES:
            self[f"files *{ending} (pip install pillow-heif reads them)"] += 1
        else:
            self[f"files *{ending}" if ending else "files without an ending"] += 1

    def folder(self, name: str) -> None:
        """Count a folder for which `is_shown` does not hold."""
        self["hidden folders" if name.startswith(".") else _SYSTEM_FOLDERS[name.lower()]] += 1

    def deeper(self) -> None:
        """Count a picture that is taken though it lies deeper than class/file."""
        self[_DEEPER] += 1

    def line(self) -> str:
        """Return all counts in one line, or "" if there are none."""
        counts = dict(self)
        deeper = counts.pop(_DEEPER, 0)
        parts = [f"{count:,} {reason}" for reason, count in sorted(counts.items())]
        lines = [f"left out: {', '.join(parts)}"] if parts else []
        lines += [f"{deeper:,} pictures lie {_DEEPER}"] if deeper else []
        return "; ".join(lines)


@functools.cache
def _suffixes() -> tuple[str, ...]:
    heic = importlib.util.find_spec("pillow_heif") is not None
    return IMAGE_SUFFIXES + (HEIC_SUFFIXES if heic else ())


def is_image_name(name: str) -> bool:
    """Return whether a file of this name counts as an image: by its ending, and not hidden.

    HEIC counts where pillow-heif is installed.
    """
    return name.lower().endswith(_suffixes()) and not name.startswith(".")


def is_shown(folder: str) -> bool:
    """Return whether a folder of this name counts: it is not hidden and not made by a system."""
    return not folder.startswith(".") and folder.lower() not in _SYSTEM_FOLDERS


def class_folders(folder: pathlib.Path, left_out: LeftOut | None = None) -> list[str]:
    """Return the names of the folders in a folder, sorted, without those that are not shown.

    Args:
      left_out: counts the folders that are not shown, and the files beside the folders.

    Raises:
      DataError: the folder cannot be listed, or a link in it leads nowhere.
    """
    names: list[str] = []
    left_out = LeftOut() if left_out is None else left_out
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                hidden = entry.name.startswith(".")
                if not hidden and entry.is_symlink() and not os.path.exists(entry.path):
                    target = os.readlink(entry.path)
                    raise DataError(
                        f"{entry.path} leads to {target}, which is not there; fix or remove it"
                    )
                if not entry.is_dir():
                    if is_image_name(entry.name):
                        left_out["pictures beside the class folders"] += 1
                    else:
                        left_out.file(entry.name)
                elif is_shown(entry.name):
                    names.append(entry.name)
                else:
                    left_out.folder(entry.name)
    except OSError as error:
        raise _unlisted(error) from error
    return names


def holds_images(folder: pathlib.Path) -> bool:
    """Return whether there are image files in the folder itself.

    Raises:
      DataError: the folder cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            return any(is_image_name(entry.name) and entry.is_file() for entry in entries)
    except OSError as error:
        raise _unlisted(error) from error


def _unlisted(error: OSError) -> DataError:
    """Return the error of a folder that cannot be listed: images might be missing."""
    return DataError(f"{error.filename} cannot be read ({error.strerror}); fix that")


def _stop_at(error: OSError) -> None:
    raise _unlisted(error)


def images(
    folder: pathlib.Path,
    class_name: str,
    may_be_empty: bool = False,
    left_out: LeftOut | None = None,
) -> list[str]:
    """Return the image files below folder/class_name, at any depth, as names below folder, sorted.

    Args:
      folder, class_name: where they are.
      may_be_empty: whether there may be none.
      left_out: counts all other files, and the images that lie deeper.

    Raises:
      DataError: there are no images, or a folder cannot be listed.
    """
    names: list[str] = []
    left_out = LeftOut() if left_out is None else left_out
    for name in files_below(folder, class_name, left_out):
        file = os.path.basename(name)
        if not is_image_name(file):
            left_out.file(file)
            continue
        names.append(name)
        if class_name != "." and os.path.dirname(name) != class_name:
            left_out.deeper()
    if not names and not may_be_empty:
        raise DataError(
            f"the class folder {folder / class_name} holds no image (looked for files ending in "
            f"{', '.join(IMAGE_SUFFIXES[:5])}, ...); fill it or remove it, or set data.dir to the "
            "folder whose folders are the classes"
        )
    return sorted(names)


def files_below(folder: pathlib.Path, part: str, left_out: LeftOut) -> Iterator[str]:
    """Iterate over all files below folder/part, at any depth, as names below folder.

    Args:
      folder, part: where they are.
      left_out: counts the folders that are not entered.

    Raises:
      DataError: a folder cannot be listed.
    """
    entered: set[tuple[int, int]] = set()  # a link may lead back to a folder above it
    for path, folders, files in os.walk(folder / part, followlinks=True, onerror=_stop_at):
        status = os.stat(path)
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            left_out["folders that a link leads to again"] += 1
            continue
        entered.add((status.st_dev, status.st_ino))
        for name in folders:
            if not is_shown(name):
                left_out.folder(name)
        folders[:] = sorted(filter(is_shown, folders))
        below = os.path.relpath(path, folder)
        yield from (os.path.join(below, file) for file in files)
