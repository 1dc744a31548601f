"""The paper's net again, in float64 NumPy, obvious and slow: the reference of test_alexnet.py.

Each column is an array (B, H, W, C) or (B, features) of its own. Weights have our layout, the
column first; nothing else is shared with the package.
"""

import math

import numpy as np

ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}
STRIDE = {"conv1": 4}
PADDING = {"conv1": 0, "conv2": 2, "conv3": 1, "conv4": 1, "conv5": 1}
PAPER_LRN = {"n": 5, "k": 2.0, "alpha": 1e-4, "beta": 0.75}


def conv(x, kernel, bias, stride, padding):
    size, window = x.shape[1], kernel.shape[0]
    out = 1 + math.ceil((size + 2 * padding - window) / stride)
    far = max((out - 1) * stride + window, size + 2 * padding)
    padded = np.zeros((x.shape[0], far, far, x.shape[3]))
    padded[:, padding : padding + size, padding : padding + size] = x
    y = np.empty((x.shape[0], out, out, kernel.shape[3]))
    for i in range(out):
        for j in range(out):
            patch = padded[:, i * stride : i * stride + window, j * stride : j * stride + window]
            y[:, i, j] = np.tensordot(patch, kernel, 3) + bias
    return y


def max_pool(x, window, stride):
    out = (x.shape[1] - window) // stride + 1
    y = np.empty((x.shape[0], out, out, x.shape[3]))
    for i in range(out):
        for j in range(out):
            rows, columns = (slice(p * stride, p * stride + window) for p in (i, j))
            y[:, i, j] = x[:, rows, columns].max((1, 2))
    return y


def lrn(a, n, k, alpha, beta):
    b, last = np.empty(a.shape), a.shape[-1] - 1
    for i in range(last + 1):
        window = a[..., max(0, i - n // 2) : min(last, i + n // 2) + 1]
        b[..., i] = a[..., i] / (k + alpha * (window**2).sum(-1)) ** beta
    return b


def standardized(x, axes):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)


def channel_norm(kind, x, scale, bias):
    if kind == "batch":  # at test, with the first statistics: mean 0, variance 1
        return x / math.sqrt(1 + 1e-5) * scale + bias
    if kind == "layer":
        return standardized(x, -1) * scale + bias
    groups = max(g for g in range(1, 17) if x.shape[-1] % g == 0)
    parts = [standardized(part, (1, 2, 3)) for part in np.split(x, groups, axis=-1)]
    return np.concatenate(parts, -1) * scale + bias


def forward(
    params,
    images,
    *,
    columns=2,
    cross=True,
    norm="lrn",
    constants=PAPER_LRN,
    across=False,  # whether LRN's windows cross the columns
    pool=(3, 2),
    activation="relu",
    rate=0.5,
    dropped=(),
):
    """Return name -> (columns, B, ...) of every activation of the test-time net, fc8 too."""
    xs, kept = [images.astype(np.float64)] * columns, {}
    weights = {
        layer: {name: value.astype(np.float64) for name, value in values.items()}
        for layer, values in params.items()
    }

    def keep(name):
        kept[name] = np.stack(xs)

    for number in range(1, 9):
        name = f"conv{number}" if number <= 5 else f"fc{number}"
        if number >= 6:
            xs = [x.reshape(len(x), -1) for x in xs]
        if name not in dropped:
            w = weights[name]
            if cross and number in (3, 6, 7):
                xs = [np.concatenate(xs, -1)] * columns
            if number <= 5:
                stride, padding = STRIDE.get(name, 1), PADDING[name]
                xs = [conv(xs[c], w["kernel"][c], w["bias"][c], stride, padding)
                      for c in range(columns)]  # fmt: skip
            elif number <= 7:
                xs = [xs[c] @ w["kernel"][c] + w["bias"][c] for c in range(columns)]
            else:
                xs = [sum(xs[c] @ w["kernel"][c] for c in range(columns)) + w["bias"]]
            keep(name)
            if number <= 7:
                xs = [ACTIVATIONS[activation](x) for x in xs]
                keep(f"{activation}{number}")
            if number <= 2:
                if norm == "lrn" and constants and across:
                    xs = np.split(lrn(np.concatenate(xs, -1), **constants), columns, axis=-1)
                elif norm == "lrn" and constants:
                    xs = [lrn(x, **constants) for x in xs]
                elif norm in ("batch", "layer", "group"):
                    w = weights[f"norm{number}"]
                    xs = [channel_norm(norm, xs[c], w["scale"][c], w["bias"][c])
                          for c in range(columns)]  # fmt: skip
                keep(f"norm{number}")
        if number in (1, 2, 5):
            xs = [max_pool(x, *pool) for x in xs]
            keep(f"pool{number}")
        if number in (6, 7) and name not in dropped:
            xs = [x * (1 - rate) for x in xs]
            keep(f"dropout{number}")
    return kept
