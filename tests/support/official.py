"""ILSVRC's official archives, made of small images: a tar of tars, devkits with their meta.mat."""

import io
import pathlib
import tarfile

import numpy as np
import scipy.io
from PIL import Image

WNIDS = ("n01440764", "n01443537", "n02119789", "n15075141")
# In an order of their own, as in the real kit, where kit fox is 1.
ILSVRC_IDS = {"n02119789": 1, "n15075141": 2, "n01440764": 3, "n01443537": 4}
WORDS = {
    "n01440764": "tench, Tinca tinca",
    "n01443537": "goldfish, Carassius auratus",
    "n02119789": "kit fox, Vulpes macrotis",
    "n15075141": "toilet tissue, toilet paper, bathroom tissue",
}
COLOURS = {"n01440764": 0, "n01443537": 80, "n02119789": 160, "n15075141": 240}
TRAIN_OF_A_CLASS = 11


def jpeg(wnid: str, number: int, size: tuple[int, int] = (40, 30)) -> bytes:
    """Return a small JPEG of blocks, its red telling the class."""
    rng = np.random.default_rng([COLOURS[wnid], number])
    blocks = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    blocks[..., 0] = COLOURS[wnid] // 2 + blocks[..., 0] // 4
    file = io.BytesIO()
    Image.fromarray(blocks).resize(size).save(file, "JPEG", quality=90)
    return file.getvalue()


def train_images(count: int = TRAIN_OF_A_CLASS) -> dict[str, dict[str, bytes]]:
    """Return the training images by wnid and name; not in the order of their names."""
    return {
        wnid: {f"{wnid}_{7 * k % 100 + 3}.JPEG": jpeg(wnid, k) for k in range(count)}
        for wnid in reversed(WNIDS)
    }


def numbered_images(stem: str, count: int, seed: int) -> tuple[dict[str, bytes], list[str]]:
    """Return images stem_00000001.JPEG ... and the wnid of each."""
    wnids = [WNIDS[(k * k + seed) % len(WNIDS)] for k in range(count)]
    images = {
        f"{stem}_{k + 1:08d}.JPEG": jpeg(wnid, 1000 * seed + k) for k, wnid in enumerate(wnids)
    }
    return images, wnids


def tar(files: dict[str, bytes], mode: str = "w") -> bytes:
    """Return an archive of files by name; a name that ends in a slash is a folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name.rstrip("/"))
            if name.endswith("/"):
                info.type = tarfile.DIRTYPE
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def meta_mat(year: str, ids: dict[str, int] = ILSVRC_IDS) -> bytes:
    """Return meta.mat: the classes by ILSVRC id, then two nodes above them."""
    id_field = f"ILSVRC{year}_ID"
    fields = [id_field, "WNID", "words", "gloss", "num_children", "children", "wordnet_height"]
    rows = [(i, wnid, WORDS[wnid], "what it is", 0, np.zeros(0), 0) for wnid, i in ids.items()]
    rows.sort(key=lambda row: row[0])
    rows += [(5, "n00001740", "entity", "", 2, np.array([1, 2]), 1)]
    rows += [(6, "n00001930", "physical entity", "", 2, np.array([3, 4]), 1)]
    synsets = np.empty((len(rows), 1), [(field, object) for field in fields])
    for k, row in enumerate(rows):
        synsets[k, 0] = row
    out = io.BytesIO()
    scipy.io.savemat(out, {"synsets": synsets})
    return out.getvalue()


def truth(wnids: list[str]) -> bytes:
    """Return a ground truth file: an ILSVRC id a line."""
    return "".join(f"{ILSVRC_IDS[wnid]}\n" for wnid in wnids).encode()


def tar_of_tars(train: dict[str, dict[str, bytes]]) -> bytes:
    """Return the archive of one archive a class."""
    return tar({f"{wnid}.tar": tar(images) for wnid, images in train.items()})


def write_2012(folder: pathlib.Path, validation: int = 13) -> pathlib.Path:
    """Write the three files of ILSVRC-2012; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ILSVRC2012_img_train.tar").write_bytes(tar_of_tars(train_images()))
    images, wnids = numbered_images("ILSVRC2012_val", validation, 1)
    (folder / "ILSVRC2012_img_val.tar").write_bytes(tar(images))
    (folder / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(devkit_2012(wnids))
    return folder


def devkit_2012(wnids: list[str]) -> bytes:
    """Return ILSVRC2012_devkit_t12.tar.gz."""
    root = "ILSVRC2012_devkit_t12"
    files = {
        f"{root}/": b"",
        f"{root}/readme.txt": b"read me",
        f"{root}/data/meta.mat": meta_mat("2012"),
        f"{root}/data/ILSVRC2012_validation_ground_truth.txt": truth(wnids),
    }
    return tar(files, "w:gz")


def write_2010(folder: pathlib.Path, validation: int = 9, test: int = 17) -> pathlib.Path:
    """Write the files of ILSVRC-2010; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    train = tar_of_tars(train_images())
    (folder / "ILSVRC2010_images_train.tar").write_bytes(train)
    wnids = {}
    for split, short, count in (("validation", "val", validation), ("test", "test", test)):
        images, wnids[split] = numbered_images(f"ILSVRC2010_{short}", count, len(split))
        inside = {f"{short}/": b""} | {f"{short}/{name}": data for name, data in images.items()}
        (folder / f"ILSVRC2010_images_{short}.tar").write_bytes(tar(inside))
    files = {
        "devkit-1.0/data/meta.mat": meta_mat("2010"),
        "devkit-1.0/data/ILSVRC2010_validation_ground_truth.txt": truth(wnids["validation"]),
    }
    (folder / "ILSVRC2010_devkit-1.0.tar.gz").write_bytes(tar(files, "w:gz"))
    (folder / "ILSVRC2010_test_ground_truth.txt").write_bytes(truth(wnids["test"]))
    return folder


def write_fall2011(folder: pathlib.Path) -> pathlib.Path:
    """Write a folder of synset archives, one of them empty, with ImageNet's words.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    for wnid, images in train_images().items():
        (folder / f"{wnid}.tar").write_bytes(tar(images))
    (folder / "n04399382.tar").write_bytes(tar({}))
    lines = [f"{wnid}\t{words}\n" for wnid, words in WORDS.items()]
    (folder / "words.txt").write_text("".join(lines))
    return folder


def write_extracted_2012(folder: pathlib.Path, *, flat: bool, validation: int = 13) -> pathlib.Path:
    """Write what unpacking gives: train/<wnid>/, val/<wnid>/ or a flat val/, and the kit."""
    for wnid, images in train_images().items():
        _write(folder / "train" / wnid, images)
    images, wnids = numbered_images("ILSVRC2012_val", validation, 1)
    for (name, data), wnid in zip(images.items(), wnids, strict=True):
        _write(folder / "val" / ("." if flat else wnid), {name: data})
    with tarfile.open(fileobj=io.BytesIO(devkit_2012(wnids))) as archive:
        for member in filter(tarfile.TarInfo.isfile, archive):  # extractall: 3.11.4 and newer
            path = folder / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.extractfile(member).read())
    return folder


def _write(folder: pathlib.Path, images: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in images.items():
        (folder / name).write_bytes(data)
