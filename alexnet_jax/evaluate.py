"""Evaluate trained nets, alone and averaged, on one or more views; every image counts once.

    python -m alexnet_jax.evaluate --workdir=runs/ilsvrc2012 --views=10 --checkpoint=best

    python -m alexnet_jax.evaluate --workdir=runs/a --workdir=runs/b --views=10 --out=ab.npz
    python -m alexnet_jax.evaluate --predictions=ab.npz --predictions=c.npz --weights=fit

    python -m alexnet_jax.evaluate --workdir=runs/imported --data_dir=/path/to/imagenet

    python -m alexnet_jax.evaluate --workdir=runs/a --views=1,10 --resize=aspect/area,warp/lanczos

    python -m alexnet_jax.evaluate --workdir=runs/ilsvrc2010 --views=10 --split=test

Several nets are evaluated alone and together, with their probabilities averaged; several --views
and --resize one after the other. It prints a table, then one JSON object: the last row's images,
net, weights, split, views, resize, loss, top1_error, top1_interval, top5_error, top5_interval
(bootstrap, 95 %), all rows, and images_per_second.
"""

import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from absl import flags

from alexnet_jax.analysis.report import refresh
from alexnet_jax.data.decode.resize import FILTERS, FORMS, Resize
from alexnet_jax.data.input import ten_crops
from alexnet_jax.data.input.loader import eval_batches
from alexnet_jax.data.store.prepared import PreparedDataset
from alexnet_jax.errors import ConfigError, DataError
from alexnet_jax.inference import class_order
from alexnet_jax.inference.comparison import (
    FIT,
    Answers,
    MeanWeights,
    check_weights,
    compare,
    compared,
    table,
    weights_of,
)
from alexnet_jax.inference.predictions import Predictions, joined
from alexnet_jax.inference.predictor import Predictor, batch_size_for, make_predict, predicted
from alexnet_jax.run import class_matching, evaluations
from alexnet_jax.run.folder import REPORT_FILE
from alexnet_jax.run.restore import SPLIT, Restored, restore, split_cpu
from alexnet_jax.system import command_line
from alexnet_jax.system.atomic_file import check_writable
from alexnet_jax.system.paths import user_path
from alexnet_jax.system.progress import ImageProgress

FLAGS = flags.FLAGS
# Flags that --predictions refuses, since it runs no net.
RUN_FLAGS = ("views", "resize", "data_dir", "split", "checkpoint", "classes", "softmax", "out")


def define_flags() -> None:
    """Define what this command takes."""
    flags.DEFINE_multi_string("workdir", [], "Folder of a run; several are an ensemble.")
    flags.DEFINE_list("views", ["1"], "Views of each image: any of 1,5,10 (paper 4.1).")
    text = "How images are made square: any of aspect/area, warp/lanczos, ... (data.resize)."
    flags.DEFINE_list("resize", [], text)
    text = "Images, val/<class>/<file> or <class>/<file>, in place of the run's."
    flags.DEFINE_string("data_dir", "", text)
    text = "The split of the images; ILSVRC-2010 has a test split (table 1)."
    flags.DEFINE_enum("split", SPLIT, [SPLIT, "test"], text)
    flags.DEFINE_string("checkpoint", "best", "best, latest, or a step.")
    flags.DEFINE_string("classes", "", class_matching.FLAG)
    text = "On images of some of a net's classes: softmax over all its classes, or these only."
    flags.DEFINE_enum("softmax", "all", ["all", "these"], text)
    flags.DEFINE_string("out", "", "An .npz that keeps the probabilities of each image.")
    flags.DEFINE_multi_string("predictions", [], "What --out wrote, in place of runs.")
    flags.DEFINE_string(
        "weights",
        "equal",
        "How the nets count in their mean: equal; or numbers, one for each net; or fit: numbers "
        "that are fitted on every second image, and all rows are of the other images.",
    )


def main(_) -> None:
    """Evaluate what the flags name."""
    if bool(FLAGS.predictions) == bool(FLAGS.workdir):
        raise ConfigError("give --workdir, or --predictions that were kept: one of the two")
    weights = weights_of(FLAGS.weights)
    if FLAGS.predictions and (useless := [name for name in RUN_FLAGS if FLAGS[name].present]):
        raise ConfigError(
            f"--predictions runs no net, so it takes no --{', --'.join(useless)}: leave that out, "
            "or give --workdir"
        )
    begin, kept = time.perf_counter(), None
    if FLAGS.predictions:
        rows, seen = compare(joined([user_path(p) for p in FLAGS.predictions]), weights), 0
    else:
        rows, seen, kept = _run(weights)
    speed = {"images_per_second": seen / (time.perf_counter() - begin)} if seen else {}
    print(table(rows))
    print(json.dumps({**rows[-1], **speed, "rows": rows}))
    if kept is not None and FLAGS.out:  # last: the disk may be full
        kept.save(user_path(FLAGS.out))


def _run(weights: MeanWeights) -> tuple[list[dict], int, Predictions | None]:
    """Run the nets on their images.

    Returns:
      The rows, how many images were evaluated, and the predictions if they are needed again.
    """
    wanted = list(itertools.product(_resizes(FLAGS.resize), _views(FLAGS.views)))
    if FLAGS.out and len(wanted) > 1:
        raise ConfigError("--out keeps the answers of one choice of --views and --resize")
    check_weights(weights, len(FLAGS.workdir))
    if FLAGS.out:
        check_writable(user_path(FLAGS.out), DataError)
    split_cpu(FLAGS.workdir)
    nets = [restore(workdir, FLAGS.checkpoint, classes=FLAGS.classes) for workdir in FLAGS.workdir]
    predictors = {views: _predictors(nets, views) for _, views in wanted}
    rows: list[dict] = []
    seen, kept = 0, None
    for resize, views in wanted:
        dataset, form = _images(nets, resize)
        outputs = [class_order.outputs(restored, dataset, FLAGS.softmax) for restored in nets]
        class_order.check_same(nets, dataset, outputs)
        if not rows:
            class_order.print_matching(nets[0], dataset, outputs[0], FLAGS.softmax)
        answers = class_order.reordered(
            predicted(predictors[views], _batches(nets, dataset)), outputs
        )
        answers = _shown(answers, dataset, views)
        how = {"split": FLAGS.split, "views": views, "resize": form}
        heads = [{"net": str(restored.workdir), **how} for restored in nets]
        if FLAGS.out or weights == FIT:
            kept = _kept(heads, dataset, class_order.names(nets[0], dataset, outputs[0]), answers)
        found = compared(heads, answers, weights) if kept is None else compare(kept, weights)
        if any(net.arch.classes > len(dataset.class_names) for net in nets):
            found = [{**row, "softmax": FLAGS.softmax} for row in found]
        if weights != FIT and not FLAGS.data_dir:
            _remember(nets, found[: len(nets)])
        rows += found
        seen += dataset.num_examples(FLAGS.split)
    return rows, seen, kept


def _remember(nets: Sequence[Restored], rows: Sequence[dict]) -> None:
    """Keep each net's row in its run's folder, and bring its report up to date."""
    for restored, row in zip(nets, rows, strict=True):
        evaluations.remember(restored.workdir, {"step": int(restored.state.step), **row})
        if (restored.workdir / REPORT_FILE).exists():
            refresh.refresh(restored.workdir)


def _predictors(nets: Sequence[Restored], views: int) -> list[Predictor]:
    """Return the nets as predictors; nets of equal arch and mesh share a compiled program."""
    programs: dict[tuple, Callable] = {}
    found = []
    for restored in nets:
        kind = repr(restored.arch), restored.mesh
        if kind not in programs:
            programs[kind] = make_predict(restored.arch, restored.mesh, views)
        found.append(Predictor(restored, programs[kind]))
    return found


def _images(nets: Sequence[Restored], resize: Resize | None) -> tuple[PreparedDataset, str]:
    """Return the images that all nets are evaluated on, and how they were made square."""
    datasets = [
        restored.images(FLAGS.data_dir, resize, split=FLAGS.split, by_name=True)
        for restored in nets
    ]
    for restored, dataset in zip(nets, datasets, strict=True):
        if dataset.directory != datasets[0].directory:
            remedy = "give --data_dir or --resize"
            if dataset.size != datasets[0].size:
                remedy = "for squares of several sizes give each its --out, and then --predictions"
            raise ConfigError(
                f"{restored.workdir} has its images in {dataset.directory}, {nets[0].workdir} in "
                f"{datasets[0].directory}: nets are compared on the same ones; {remedy}"
            )
    return datasets[0], str(resize or Resize.of(nets[0].config.data))


def _batches(nets: Sequence[Restored], dataset: PreparedDataset) -> Iterator[dict]:
    config = nets[0].config
    size = batch_size_for(*(restored.mesh for restored in nets), asked=config.evaluate.batch_size)
    return eval_batches(dataset, FLAGS.split, batch_size=size, workers=config.data.workers)


def _shown(answers: Answers, dataset: PreparedDataset, views: int) -> Answers:
    """Yield the answers, and show on stderr how many images are done."""
    name = f"{FLAGS.split}, {views} view{'s' if views > 1 else ''} of each image"
    with ImageProgress(dataset.num_examples(FLAGS.split), name, verb="evaluating") as progress:
        for probabilities, batch in answers:
            progress.advance(len(batch["label"]))
            yield probabilities, batch


def _kept(
    heads: list[dict], dataset: PreparedDataset, names: tuple[str, ...], answers: Answers
) -> Predictions:
    parts = [(probabilities, batch["label"]) for probabilities, batch in answers]
    labels = np.concatenate([labels for _, labels in parts])
    return Predictions(
        nets=tuple(head["net"] for head in heads),
        views=tuple(head["views"] for head in heads),
        resize=tuple(head["resize"] for head in heads),
        class_names=names,
        files=tuple(dataset.file_names(FLAGS.split, range(len(labels)))),
        labels=labels,
        probabilities=np.concatenate([probabilities for probabilities, _ in parts], axis=1),
        split=FLAGS.split,
    )


def _resizes(parts: list[str]) -> list[Resize | None]:
    """Return the choices of --resize; [None], for the run's own, if there are none."""
    found: list[Resize | None] = []
    for part in parts:
        form, _, kind = part.partition("/")
        if form not in FORMS or kind not in FILTERS:
            raise ConfigError(
                f"--resize is any of {'|'.join(FORMS)}/{'|'.join(FILTERS)}; got {part!r}"
            )
        found.append(Resize(form, kind))
    return found or [None]


def _views(parts: list[str]) -> list[int]:
    known = [str(views) for views in ten_crops.VIEWS]
    if not parts or not set(parts) <= set(known):
        raise ConfigError(f"--views is any of {', '.join(known)}; got {','.join(parts)!r}")
    return [int(part) for part in parts]


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
