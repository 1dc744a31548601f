"""The tables of the pages are what the records say; the ledger names what is there."""

import importlib.util
import re

import pytest

from experiments.claims import figures, generated, ledger, results
from tests.support import tiny


def test_the_ledger_is_what_the_records_say():
    text = ledger.README.read_text()
    assert ledger.written(text) == text, "run python -m experiments.claims.ledger"
    drifted = text.replace("too noisy to say |", "agrees |")
    assert drifted != text and ledger.written(drifted) == text


@pytest.mark.parametrize(
    ("page", "written", "figures_there"),
    [
        (results.README, results.results_written, [figure for _, figure in results.rows()]),
        (results.TRAIN, results.starts_written, ["at step 500"]),
    ],
)
def test_the_tables_of_the_pages_are_what_the_records_say(page, written, figures_there):
    text = page.read_text()
    assert written(text) == text, "run python -m experiments.claims.results"
    for figure in figures_there:
        drifted = text.replace(f"{figure} |", "better |")
        assert drifted != text and written(drifted) == text


def test_a_run_of_another_kind_of_processor_has_a_row_of_its_own(monkeypatch):
    before, record = results.speed(), results.read("bench_step_cpu.json")
    for name in ("runs", "inference"):
        record[name].append({**record[name][0], "vector_bits": 256})
    monkeypatch.setattr(results, "read", lambda _: record)
    after = results.speed()
    new = [what for what, figure in after if (what, figure) not in before]
    assert len(after) == len(before) + 2 and [row for row in after if row in before] == before
    assert all("batch 32, a processor with 256-bit vectors, beside" in what for what in new)


def test_a_file_without_the_place_is_not_written():
    with pytest.raises(ValueError, match="unpack"):
        generated.replaced("no comments", "results", "results.py", "| a |")


def test_each_claim_has_its_command_and_a_verdict_that_fits():
    for claim in ledger.CLAIMS:
        for module in re.findall(r"python -m (\S+)", claim.command):
            assert importlib.util.find_spec(module), claim.command
        for config in re.findall(r"configs/\S+", claim.command):
            assert (tiny.REPOSITORY / config).is_file(), config
        assert claim.command.startswith("python -m ")
        assert claim.verdict.startswith("not run") == (not claim.record), claim.claim


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.001, 0.02, "agrees in sign at this scale"),
        (-0.02, -0.001, "less error without it at this scale"),
        (-0.001, 0.02, "too noisy to say"),
    ],
)
def test_a_small_ablation_is_judged_by_the_interval_of_top1(low, high, verdict):
    found = {"mean": (low + high) / 2, "low": low, "high": high, "n": 3, "paired": True}
    row = {f"final_{name}_error": {"n": 3, "difference": found} for name in ("top1", "top5")}
    assert figures.sign(row).startswith(verdict) and figures.sign(row).endswith("needs ILSVRC")
    ours = figures.small_run({"scale": "small"}, row)
    assert ours.count(f"[{100 * low:+.2f}, {100 * high:+.2f}]") == 2
    assert ours.endswith("(n = 3; small)")


def test_figure_1_is_the_ratio_of_the_epochs():
    relu = {"rate": 0.003, "seeds": 3, "epochs": [6.0, 6.2, 6.4]}
    tanh = {"rate": 0.01, "seeds": 1, "epochs": [31.0]}
    said = figures.epochs_to_target({"relu": relu, "tanh": tanh, "tanh_over_relu": 5.0})
    assert said == (
        "5.0x: relu 6.2 ± 0.2 epochs at rate 0.003 (n = 3), tanh 31.0 epochs at rate 0.01 (n = 1)"
        ", all 50,000 pictures"
    )


def test_a_map_is_counted_by_normalization_and_input_without_k_of_0():
    def row(norm, pixels, left):
        return {"setting": f"{norm}; {pixels}", "left": left, "runs": 3}

    raw, normalized = "pixels 0-255", "pixels of deviation 1"
    rows = [
        row("LRN n = 5, k = 0", raw, 0),
        *(row(f"LRN n = {n}, k = 2", raw, 3) for n in (3, 5)),
        row("LRN n = 5, k = 1", normalized, 1),
        row("batch norm", normalized, 2),
        row("no norm", raw, 3),
    ]
    said = figures.norm_map({"settings": rows, "steps": 300, "scale": "small"})
    assert said == (
        "left it in 300 steps: LRN, pixels 0-255: 6 of 6; LRN, pixels of deviation 1: 1 of 3; "
        "batch norm, pixels 0-255: 0 of 0; batch norm, pixels of deviation 1: 2 of 3; "
        "no norm, pixels 0-255: 3 of 3; no norm, pixels of deviation 1: 0 of 0 (small)"
    )
