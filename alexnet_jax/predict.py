"""Classify pictures: print the classes that a trained net finds most probable.

    python -m alexnet_jax.predict --workdir=runs/ilsvrc2012 cat.jpg
    python -m alexnet_jax.predict --workdir=runs/ilsvrc2012 --json photographs/ > answers.jsonl

Of a folder, all pictures at any depth are taken. A file that cannot be read, or does not exist, is
named on stderr and skipped. The last line is one JSON object: images, bad, images_per_second. The
exit code is 0 if all files were classified, 1 if some could not be read.
"""

import json
import sys
import time

from absl import flags

from alexnet_jax.data.decode.resize import Resize
from alexnet_jax.data.input.files import BadFiles, batches, image_files, squares
from alexnet_jax.inference.predictor import batch_size_for, best, predicted, predictor
from alexnet_jax.run import run_flags
from alexnet_jax.run.restore import restore, split_cpu
from alexnet_jax.system import command_line
from alexnet_jax.system.lines import one_line

FLAGS = flags.FLAGS
BATCH = 64  # pictures at a time, at most


def define_flags() -> None:
    """Define what this command takes."""
    run_flags.define(classes=True, views=True)
    flags.DEFINE_integer("top", 5, "Classes to name for each picture.", lower_bound=1)
    flags.DEFINE_bool("json", False, "Print a line of JSON for each picture.")


def main(argv: list[str]) -> int:
    """Classify each picture that the command line names."""
    paths = image_files(argv[1:])
    split_cpu([FLAGS.workdir])
    restored = restore(FLAGS.workdir, FLAGS.checkpoint, classes=FLAGS.classes)
    names = restored.words
    predict = predictor(restored, int(FLAGS.views))
    begin, good, bad = time.perf_counter(), 0, BadFiles()

    size = batch_size_for(restored.mesh, asked=min(BATCH, len(paths)))
    resize = Resize.of(restored.config.data)
    pictures = batches(squares(paths, resize, restored.config.data.workers), size, bad.append)
    for (probabilities,), batch in predicted([predict], pictures):
        for file, row in zip(batch["file"], probabilities, strict=True):
            _say(file, [(names[label], float(row[label])) for label in best(row, FLAGS.top)])
            good += 1
    speed = good / (time.perf_counter() - begin)
    print(json.dumps({"images": good, "bad": len(bad), "images_per_second": round(speed, 2)}))
    return 1 if bad else 0


def _say(path: str, top: list[tuple[str, float]]) -> None:
    if FLAGS.json:
        named = [{"class": name, "probability": probability} for name, probability in top]
        print(json.dumps({"file": path, "top": named}), flush=True)
    else:
        print(one_line(path))
        for name, probability in top:
            print(f"  {probability:.3f}  {one_line(name)}")
        sys.stdout.flush()


if __name__ == "__main__":
    define_flags()
    command_line.run(main, words=True)
