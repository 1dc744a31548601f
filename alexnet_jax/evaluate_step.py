"""The compiled evaluation of a batch: softmax averaged over the views (paper 4.1)."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from alexnet_jax import metrics
from alexnet_jax.data import augment
from alexnet_jax.sharding import DATA, GROUP, param_specs
from alexnet_jax.spec import Spec
from alexnet_jax.train_step import graph_of


def make_predict(spec: Spec, mesh: Mesh, views: int):
    """Return predict(params, stats, images, consts) -> probabilities (B, classes) float32.

    images: (B, 256, 256, 3) uint8 over "data". The views of an image go through the net one after
    the other, so that memory does not grow with their number.
    """
    graph = graph_of(spec)
    corners = augment.view_corners(views, spec.image_size)

    def local(params, stats, images, consts):
        net = nnx.merge(graph, params, stats)

        def add(total, view):
            x = augment.view_at(images, consts, spec.image_size, *view)
            logits, _ = net(x, group_axis=GROUP, data_axis=DATA)
            return total + jax.nn.softmax(logits), None

        total = lax.pcast(jnp.zeros((images.shape[0], spec.classes)), DATA, to="varying")
        places = tuple(jnp.asarray(column) for column in zip(*corners, strict=True))
        return lax.scan(add, total, places)[0] / views

    def predict(params, stats, images, consts):
        return jax.shard_map(
            local,
            mesh=mesh,
            in_specs=(param_specs(params), param_specs(stats), P(DATA), P()),
            out_specs=P(DATA),
        )(params, stats, images, consts)

    return predict


def make_evaluate_step(spec: Spec, mesh: Mesh, views: int):
    """Return the compiled step: (params, stats, batch, consts) -> masked sums.

    batch: image, label and mask (B,) float32, 0 where a row is padding.
    """
    predict = make_predict(spec, mesh, views)

    @jax.jit
    def evaluate_step(params, stats, batch, consts) -> metrics.Sums:
        probabilities = predict(params, stats, batch["image"], consts)
        return metrics.sums(jnp.log(probabilities), batch["label"], batch["mask"])

    return evaluate_step
