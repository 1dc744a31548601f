"""PyTorch's own files and modules, where it is installed; the program does not need it."""

import argparse
import pathlib
import pickle
import zipfile

import numpy as np
import pytest

from alexnet_jax.errors import WeightsError
from alexnet_jax.weights import files, layout
from alexnet_jax.weights.container import Weights
from alexnet_jax.weights.exporting import export_weights
from tests.support import tiny, weight_files
from tests.support.narrow_nets import draw_images, run
from tests.weights.test_files import Hostile, as_torchvision, resnet, same

torch = pytest.importorskip("torch")
nn = torch.nn


class TorchvisionAlexNet(nn.Module):
    """torchvision.models.alexnet's modules and order, of any width."""

    def __init__(self, c, hidden, classes, side):
        super().__init__()
        relu, pool = nn.ReLU, lambda: nn.MaxPool2d(3, 2)
        self.features = nn.Sequential(
            *(nn.Conv2d(3, c[0], 11, 4, 2), relu(), pool()),
            *(nn.Conv2d(c[0], c[1], 5, padding=2), relu(), pool()),
            *(nn.Conv2d(c[1], c[2], 3, padding=1), relu()),
            *(nn.Conv2d(c[2], c[3], 3, padding=1), relu()),
            *(nn.Conv2d(c[3], c[4], 3, padding=1), relu(), pool()),
        )
        self.classifier = nn.Sequential(
            *(nn.Dropout(), nn.Linear(c[4] * side * side, hidden), relu()),
            *(nn.Dropout(), nn.Linear(hidden, hidden), relu()),
            nn.Linear(hidden, classes),
        )

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def owt_pair():
    """(our narrow net, torchvision's of the same shapes)."""
    net = weight_files.net_of("owt")
    maps = [net.features(f"conv{i}") for i in range(1, 6)]
    side = int((layout.shapes(net)["fc6.weight"][1] / maps[4]) ** 0.5)
    return net, TorchvisionAlexNet(maps, net.features("fc6"), net.classes, side).eval()


@pytest.mark.parametrize("form", ["plain", "checkpoint", "legacy"])
def test_torchvisions_alexnet_comes_in_and_answers_alike(form, tmp_path):
    net, module = owt_pair()
    state, path = module.state_dict(), tmp_path / "alexnet.pth"
    if form == "checkpoint":  # of the ImageNet example, wrapped in DataParallel
        state = {k.replace("features.", "features.module."): v for k, v in state.items()}
        state = {"epoch": 90, "state_dict": state}
    torch.save(state, path, _use_new_zipfile_serialization=form != "legacy")
    weights = files.read(path)
    assert weights.archs == ("owt",)
    images = draw_images()
    logits, _ = run(net, layout.from_torch(net, weights.tensors)[0], images)
    with torch.no_grad():
        expected = module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4 * expected.std())


def test_an_export_of_owt_loads_into_torchvisions_module(tmp_path):
    from safetensors.torch import load_file

    net, module = owt_pair()
    tensors = weight_files.draw_tensors(net)
    model = {"arch": "owt", "width": net.width, "classes": 10, "image_size": net.image_size}
    weights = Weights("run", tensors, ("owt",), model, mean=np.zeros(3, np.float32))
    export_weights(weights, tmp_path / "net.safetensors")
    module.load_state_dict(load_file(tmp_path / "net.safetensors"))
    same({k: v.numpy() for k, v in module.state_dict().items()}, as_torchvision(tensors))


def test_nothing_in_a_pth_is_called(tmp_path):
    marker = tmp_path / "marker"
    for i, value in enumerate(({"features.0.weight": Hostile(marker)}, Hostile(marker))):
        for new in (True, False):
            path = tmp_path / f"{i}{new}.pth"
            torch.save(value, path, _use_new_zipfile_serialization=new)
            with pytest.raises(WeightsError, match="cannot be read") as caught:
                files.read(path)
            assert "\n" not in str(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (argparse.Namespace(lr=0.1), "it holds a argparse.Namespace, and only tensors"),
        (pathlib.PurePosixPath("x"), "it holds a pathlib.PurePosixPath, and only tensors"),
        (nn.Linear(2, 2), "it holds a torch.nn.modules.linear.Linear, and only tensors"),
    ],
)
def test_other_objects_beside_the_tensors_are_named_and_how_to_save_without_them(
    other, said, tmp_path
):
    torch.save({"state_dict": owt_pair()[1].state_dict(), "args": other}, tmp_path / "a.pth.tar")
    with pytest.raises(WeightsError, match=said) as caught:
        files.read(tmp_path / "a.pth.tar")
    assert "torch.save(model.state_dict(), 'weights.pth')" in str(caught.value)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_of_arrays_says_how_to_save_them(protocol, tmp_path):
    arrays = as_torchvision(weight_files.draw_tensors(weight_files.net_of("owt")))
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(arrays, protocol))
    with pytest.raises(WeightsError, match=r"np.savez|only tensors are loaded") as caught:
        files.read(tmp_path / "a.pkl")
    assert "arbitrary code" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_flipped_bit_is_found_by_the_checksum_where_one_was_saved(tmp_path):
    path, state = tmp_path / "a.pth", owt_pair()[1].state_dict()
    for written in (True, False):
        torch.serialization.set_crc32_options(written)
        torch.save(state, path)
        torch.serialization.set_crc32_options(True)
        files.read(path)
    torch.save(state, path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"/data/\d+ has not the checksum that was saved"):
        files.read(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_key_of_tuples_that_would_take_for_ever_to_hash_is_refused(zipped, tmp_path):
    key = ()
    for _ in range(60):
        key = (key, key)  # 2^60 parts, all of them one of 60 objects
    nested = b"\x80\x02}(" + pickle.dumps(key, 2)[2:-1] + b"K\0u."  # {key: 0}
    path = tmp_path / "a.pth"
    torch.save({}, path, _use_new_zipfile_serialization=zipped)
    if zipped:
        with zipfile.ZipFile(path) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, nested if name.endswith("data.pkl") else data)
    else:
        path.write_bytes(path.read_bytes().replace(pickle.dumps({}, 2), nested))
    with pytest.raises(WeightsError, match="its pickle nests tuples"):
        files.read(path)


def test_a_checkpoint_of_training_with_tuples_in_several_places_is_read(tmp_path):
    state = owt_pair()[1].state_dict()
    betas, size = (0.9, 0.999), (3, (1, 2))
    groups = [{"betas": betas, "size": size, "tuple": ((betas, size),)} for _ in range(50)]
    torch.save({"state_dict": state, "optimizer": groups}, tmp_path / "checkpoint.pth")
    torch.save(state, tmp_path / "alone.pth")
    alone = files.read(tmp_path / "alone.pth").tensors
    same(files.read(tmp_path / "checkpoint.pth").tensors, alone)


@pytest.mark.parametrize("change", [torch.conj, lambda x: x.to("meta"), lambda x: x.to_sparse()])
def test_tensors_that_are_not_plain_are_named(change, tmp_path):
    state = dict(owt_pair()[1].state_dict())
    weight = state["features.0.weight"]
    state["features.0.weight"] = change(
        weight.to(torch.complex64) if change is torch.conj else weight
    )
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"features.0.weight is quantized, sparse, complex"):
        files.read(tmp_path / "a.pth")


def test_what_is_no_alexnet_is_refused_in_one_line(tmp_path):
    states = {
        "resnet": {k: torch.from_numpy(v) for k, v in resnet().items()},
        "list": [torch.ones(2)],
        "module": {"features.0.weight": 3},
    }
    for name, state in states.items():
        torch.save(state, tmp_path / f"{name}.pt")
        with pytest.raises(WeightsError, match="holds no AlexNet") as caught:
            files.read(tmp_path / f"{name}.pt")
        assert "\n" not in str(caught.value)
    whole = (tmp_path / "resnet.pt").read_bytes()
    for size in (0, 20, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.pt").write_bytes(whole[:size])
        with pytest.raises(WeightsError, match="cannot be read") as caught:
            files.read(tmp_path / "cut.pt")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("width", "classes"), [(1.0, 1000), (0.25, 7), (0.125, 3)])
def test_the_lines_of_the_readme(width, classes, tmp_path, monkeypatch):
    net = weight_files.net_of("paper", width=width, image_size=224, classes=classes)
    tensors = weight_files.draw_tensors(net)
    mean = np.random.default_rng(0).uniform(90, 130, (256, 256, 3)).astype(np.float32)
    weights = Weights("run", tensors, ("paper",), {"arch": "paper"}, mean=mean)
    export_weights(weights, tmp_path / "alexnet.safetensors")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(tiny.python_in("docs/weights.md", "import torch"), names)
    np.testing.assert_array_equal(names["mean"].numpy(), mean.transpose(2, 0, 1))
    images = np.random.default_rng(1).uniform(0, 255, (1, 256, 256, 3)).astype(np.float32)
    with torch.no_grad():
        squares = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
        found = names["net"](names["centre"](squares)).numpy()
    views = (images - mean)[:, 16:240, 16:240]
    logits, _ = run(net, layout.from_torch(net, tensors)[0], views)
    assert found.std() > 0.001
    np.testing.assert_allclose(logits, found, rtol=1e-3, atol=1e-4 * found.std())
