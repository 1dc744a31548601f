"""Where the miniature keeps its things below OUT."""

import pathlib

PICTURES, RUNS, RECORDS, PREPARED = "pictures", "runs", "records", "prepared"
RESULT = "result.json"
# The test set with ten views, as the paper's table; with one view beside; what was trained on.
LOOKS = (("test", 10), ("test", 1), ("seen", 1))


def kept(workdir: pathlib.Path, split: str, views: int) -> pathlib.Path:
    """Return the file of a run's probabilities for a split."""
    return workdir / f"{split}{views}.npz"
