"""Training images of ILSVRC by synset: one archive or one folder for each wnid."""

import pathlib
import re
from typing import NamedTuple

from alexnet_jax.data.sources.folders import files_split
from alexnet_jax.data.sources.listing import LeftOut, class_folders, images
from alexnet_jax.data.sources.source import Split
from alexnet_jax.data.sources.tar_images import TarImages, images_of, members
from alexnet_jax.errors import DataError

_WNID = re.compile(r"n\d{8}")


class Synsets(NamedTuple):
    """Where the images of each synset are; `split` lists them, which may take minutes.

    Attributes:
      where: the archive or folder.
      wnids: in the order of their labels.
      archives: (path, offset, size) of the tar archive of each wnid; None: there are folders.
      left_out: counts what `split` leaves out.
    """

    where: pathlib.Path
    wnids: tuple[str, ...]
    archives: dict[str, tuple] | None
    left_out: LeftOut

    def split(self) -> Split:
        """List the images, in the order of labels and names.

        Raises:
          DataError: an archive is damaged, a folder is empty, or there are no images.
        """
        return self._folders() if self.archives is None else self._archives(self.archives)

    def _archives(self, archives: dict[str, tuple]) -> Split:
        tar = TarImages()
        for label, wnid in enumerate(self.wnids):
            inner = images_of(*archives[wnid], left_out=self.left_out)
            tar.add(inner, [label] * len(inner))
        if not tar.names:
            raise DataError(f"{self.where} holds no images; download it again")

        return tar.split(lambda index: f"{self.wnids[tar.labels[index]]}/{tar.names[index]}")

    def _folders(self) -> Split:
        folder, wnids = self.where, self.wnids
        files = [
            (name, label)
            for label, wnid in enumerate(wnids)
            for name in images(folder, wnid, left_out=self.left_out)
        ]
        # The names are those inside the archives, however deep the files lie.
        names = [f"{wnids[label]}/{pathlib.PurePath(name).name}" for name, label in files]
        order = sorted(range(len(files)), key=lambda i: (files[i][1], names[i]))
        return files_split(folder, [files[i] for i in order], [names[i] for i in order])


def find_synsets(root: pathlib.Path, archive_name: str, left_out: LeftOut) -> Synsets | None:
    """Return where the training images are, or None if there are none.

    It looks for the archive of archives, then for archives n<digits>.tar in train/ or in `root`,
    then for folders in train/.

    Args:
      root: the folder (data.dir).
      archive_name: name of the archive of archives.
      left_out: counts what is left out, now or by `split`.

    Raises:
      DataError: an archive is damaged, or classes are not named by wnids.
    """
    archive, folder = root / archive_name, root / "train"
    if archive.is_file():
        inner = {
            m.name.rpartition("/")[2][:-4]: (m.path, m.offset, m.size)
            for m in members(archive)
            if m.name.endswith(".tar")
        }
        return Synsets(archive, checked_wnids(list(inner), str(archive)), inner, left_out)
    for where in (folder, root):
        tars: dict[str, tuple] = {path.stem: (path, 0, None) for path in where.glob("n*.tar")}
        if tars:
            if unpacked := set(filter(_WNID.fullmatch, class_folders(where))) - set(tars):
                raise DataError(
                    f"{where} holds archives of some classes ({min(tars)}.tar, ...) and folders "
                    f"of others ({min(unpacked)}, ...): unpack each archive into a folder of its "
                    "name, and remove it"
                )
            return Synsets(where, checked_wnids(list(tars), str(where)), tars, left_out)
    if not folder.is_dir():
        return None
    wnids = checked_wnids(class_folders(folder, left_out), str(folder))
    return Synsets(folder, wnids, None, left_out)


def checked_wnids(names: list[str], where: str) -> tuple[str, ...]:
    """Return the names of classes, sorted.

    Raises:
      DataError: a name is not a wnid, or there are none.
    """
    wrong = [name for name in names if not _WNID.fullmatch(name)]
    if wrong or not names:
        came = f"{wrong[0]!r}" if wrong else "nothing"
        raise DataError(f"expected classes named n<8 digits> in {where}, but found {came}")
    return tuple(sorted(names))
