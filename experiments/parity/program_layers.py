"""The layer files of the released program's nets of 2012: their contents, and a reader.

A net is a list of sections as in layers-145.cfg, one for each layer and GPU (conv1a, conv1b).
`sections` returns the contents of the files that made the paper's numbers; `read_layers` reads such
a file itself, with the layer-params beside it.
"""

import configparser
import pathlib

Section = dict[str, str]

FILES = {  # arch -> layers-*.cfg
    "code2012": "145",
    "half": "145-half",
    "no_norm": "148",
    "nonoverlapping": "147",
    "no_communication": "150",
    "six_conv": "146-2012-2011",
    "six_conv_fall2011": "146-2011",
}

_CMRNORM = "type=cmrnorm size=5 scale=0.0001 pow=0.75 minDiv=2"
_RNORM = "type=rnorm size=5 scale=0.001 pow=0.75"
_POOL = "type=pool sizeX=3 stride=2"
_HS = "type=hs keep=0.5"
# A layer's input is on the layer's GPU; with *, on both.
_NET_145 = {
    "conv1": "inputs=data type=conv filters=48 filterSize=11 stride=4 padding=0",
    "rnorm1": f"inputs=conv1 {_CMRNORM}",
    "pool1": f"inputs=rnorm1 {_POOL} neuron=relu",
    "conv2": "inputs=pool1 type=conv filters=128 filterSize=5 stride=1 padding=2 neuron=relu",
    "rnorm2": f"inputs=conv2 {_CMRNORM}",
    "cnorm2": f"inputs=rnorm2 {_RNORM}",
    "pool2": f"inputs=cnorm2 {_POOL}",
    "conv3": "inputs=pool2* type=conv filters=192 filterSize=3 stride=1 padding=1 neuron=relu",
    "conv4": "inputs=conv3 type=conv filters=192 filterSize=3 stride=1 padding=1 neuron=relu",
    "conv5": "inputs=conv4 type=conv filters=128 filterSize=3 stride=1 padding=1",
    "pool3": f"inputs=conv5 {_POOL} neuron=relu",
    "fc2048": "inputs=pool3* type=fc outputs=2048 neuron=relu",
    "hs1": f"inputs=fc2048 {_HS}",
    "fc2048b": "inputs=hs1* type=fc outputs=2048 neuron=relu",
    "hs2": f"inputs=fc2048b {_HS}",
}
_CONV6 = {
    "conv6": "inputs=pool3* type=conv filters=128 filterSize=3 stride=1 padding=1 neuron=relu",
    "fc2048": "inputs=conv6* type=fc outputs=2048 neuron=relu",
}
_CHANGES: dict[str, dict[str, str]] = {  # in place of a section of 145
    "code2012": {},
    "half": {
        "conv5": "inputs=conv4 type=conv filters=256 filterSize=3 stride=1 padding=1",
        "fc4096": "inputs=pool3* type=fc outputs=4096 neuron=relu",
        "hs1": f"inputs=fc4096 {_HS}",
        "fc4096b": "inputs=hs1* type=fc outputs=4096 neuron=relu",
        "hs2": f"inputs=fc4096b {_HS}",
    },
    "no_norm": {
        "pool1": f"inputs=conv1 {_POOL} neuron=relu",
        "pool2": f"inputs=conv2 {_POOL}",
    },
    "nonoverlapping": {
        "pool1": "inputs=rnorm1 type=pool sizeX=2 stride=2 neuron=relu",
        "conv2": "inputs=pool1 type=conv filters=128 filterSize=5 stride=1 padding=1 neuron=relu",
        "pool2": "inputs=cnorm2 type=pool sizeX=2 stride=2",
        "conv5": "inputs=conv4 type=conv filters=128 filterSize=3 stride=1 padding=0",
        "pool3": "inputs=conv5 type=pool sizeX=2 stride=2 neuron=relu",
    },
    "no_communication": {
        "conv2": "inputs=pool1 type=conv filters=160 filterSize=5 stride=1 padding=2 neuron=relu",
        "conv3": "inputs=pool2 type=conv filters=192 filterSize=3 stride=1 padding=1 neuron=relu",
        "fc4096": "inputs=pool3 type=fc outputs=4096 neuron=relu",
        "hs1": f"inputs=fc4096 {_HS}",
        "fc2048b": "inputs=hs1 type=fc outputs=2048 neuron=relu",
    },
    "six_conv": _CONV6,
    "six_conv_fall2011": {**_CONV6, "fc1": "inputs=hs2* type=fc outputs=1024"},
}


def sections(name: str) -> dict[str, Section]:
    """Return the sections of a net's layer file that lie between the data and the softmax."""
    gpus = "a" if name == "half" else "ab"
    listed: dict[str, Section] = {}
    for layer, text in (_NET_145 | _CHANGES[name]).items():
        for gpu in gpus:
            section = dict(pair.split("=") for pair in text.split())
            read = section["inputs"]
            if read.endswith("*"):
                section["inputs"] = ",".join(read[:-1] + other for other in gpus)
            elif read != "data":
                section["inputs"] = read + gpu
            listed[layer + gpu] = section
    if name == "six_conv_fall2011":
        for gpu, outputs in (("a", "10921"), ("b", "10922")):
            listed[f"fc1000{gpu}"] = {"type": "fc", "inputs": "fc1a,fc1b", "outputs": outputs}
        listed["concat"] = {"type": "concat", "inputs": "fc1000a,fc1000b"}
    else:
        last = ",".join(f"hs2{gpu}" for gpu in gpus)
        listed["fc1000"] = {"type": "fc", "inputs": last, "outputs": "1000"}
    listed["probs"] = {"type": "softmax", "inputs": list(listed)[-1]}
    return {layer: listed[layer] for layer in _read(listed, "probs")}


def read_layers(folder: pathlib.Path, name: str) -> dict[str, Section]:
    """Return the sections of the released layers-*.cfg of a net, with those of its layer-params.

    Raises:
      KeyError: `folder` holds no such file.
    """
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # filterSize, not filtersize
    parser.read([folder / f"{kind}-{FILES[name]}.cfg" for kind in ("layers", "layer-params")])
    listed = {layer: dict(parser[layer]) for layer in parser.sections()}
    return {layer: listed[layer] for layer in _read(listed, "probs")}


def _read(listed: dict[str, Section], layer: str) -> list[str]:
    """Return the names of all layers that `layer` needs, then its own."""
    names: list[str] = []
    for read in listed[layer]["inputs"].split(","):
        names += [] if read == "data" else _read(listed, read)
    return list(dict.fromkeys([*names, layer]))
