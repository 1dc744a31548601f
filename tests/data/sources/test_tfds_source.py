"""TFDS's own imagenet2012 as a source, in either of its formats, without TensorFlow."""

import io
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from ml_collections import ConfigDict
from PIL import Image
from tensorboardX.record_writer import RecordWriter

from alexnet_jax.data.prepare.prepare import prepare
from alexnet_jax.errors import DataError
from tests.support import tiny


def config(tmp_path) -> ConfigDict:
    return tiny.data_config(tmp_path, builder="ilsvrc", dir="", storage="raw")


def official_copy(tmp_path, file_format: str) -> pathlib.Path:
    """Make what TFDS's imagenet2012 leaves behind: features image, label, file_name."""
    directory = tmp_path / "prepared" / "imagenet2012" / "5.1.0"
    directory.mkdir(parents=True)
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=["n01", "n02", "n03"]),
            "file_name": tfds.features.Text(),
        }
    )
    infos = []
    for split, count in (("train", 7), ("validation", 4)):
        template = tfds.core.ShardedFileTemplate(
            data_dir=directory,
            dataset_name="imagenet2012",
            split=split,
            filetype_suffix=file_format,
        )
        records = [official_record(features, split, i) for i in range(count)]
        path = template.sharded_filepath(shard_index=0, num_shards=1)
        if file_format == "array_record":
            writer = array_record_module.ArrayRecordWriter(str(path), "group_size:1")
            for record in records:
                writer.write(record)
            writer.close()
        else:
            writer = RecordWriter(str(path))
            for record in records:
                writer.write(record)
            writer.close()
        infos.append(
            tfds.core.SplitInfo(
                name=split, shard_lengths=[count], num_bytes=9, filename_template=template
            )
        )
    tfds.folder_dataset.write_metadata(
        data_dir=directory, features=features, split_infos=infos, check_data=False
    )
    return directory


def official_record(features, split: str, index: int) -> bytes:
    pixels = np.full((300, 400, 3), 20 * index + 10, np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    example = {"image": file.getvalue(), "label": index % 3, "file_name": f"{split}{index}.JPEG"}
    return features.serialize_example(example)


@pytest.mark.parametrize("file_format", ["array_record", "tfrecord"])
def test_tfds_own_imagenet2012(tmp_path, file_format):
    official_copy(tmp_path, file_format)
    data = config(tmp_path)
    dataset = prepare(data)
    assert dataset.class_names == ("n01", "n02", "n03")
    images, labels = dataset.read("train", range(7))
    assert labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert images[:, 0, 0, 0].tolist() == [10, 30, 50, 70, 90, 110, 130]
    assert dataset.file_names("validation", [3]) == ["validation3.JPEG"]
    alone = tiny.data_config(tmp_path, **{**data, "prepared_dir": str(tmp_path / "alone")})
    (tmp_path / "alone").mkdir()
    shutil.copytree(tmp_path / "prepared" / "imagenet2012", tmp_path / "alone" / "imagenet2012")
    next((tmp_path / "alone").glob(f"*/*/*-train.{file_format}*")).write_bytes(b"not looked at")
    assert prepare(alone, "validation").file_names("validation", [3]) == ["validation3.JPEG"]


def test_damaged_tfrecords_are_named(tmp_path):
    directory = official_copy(tmp_path, "tfrecord")
    shard = next(directory.glob("*-train.tfrecord*"))
    whole = shard.read_bytes()
    second = 16 + int.from_bytes(whole[:8], "little")
    for damaged, message in (
        (whole[:-9], r"train.*it ends within a record"),
        (whole[:second], r"holds 1 records of train, but .* says 7"),
        (flipped(whole, second + 2), r"train.*its checksum does not fit"),  # the length
        (flipped(whole, second + 9), r"train.*its checksum does not fit"),
        (flipped(whole, second + 500), r"train\[1\]: .*its checksum does not fit"),  # the image
        (flipped(whole, len(whole) - 1), r"train\[6\]: .*its checksum does not fit"),
    ):
        shard.write_bytes(damaged)
        with pytest.raises(DataError, match=message):
            prepare(config(tmp_path))


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_other_formats_of_imagenet2012_are_refused(tmp_path):
    directory = official_copy(tmp_path, "tfrecord")
    info = directory / "dataset_info.json"
    info.write_text(info.read_text().replace('"tfrecord"', '"riegeli"'))
    with pytest.raises(DataError, match="stored as riegeli; expected array_record or tfrecord"):
        prepare(config(tmp_path))
