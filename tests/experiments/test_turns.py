"""Contenders of a benchmark: whose turn it is, what counts, and a process that ends."""

import itertools

import pytest

from alexnet_jax.errors import UserError
from experiments.bench import turns

PROGRAM = """
import sys, time
from experiments.bench.turns import serve, timed
runs = {"train": lambda: time.sleep(0.05), "infer": lambda: sys.exit(3)}
serve({"version": "1.2"}, {name: timed(run, lambda _: None) for name, run in runs.items()})
"""


def test_turns_and_what_counts():
    said = []

    def step(name, seconds):
        return lambda: said.append(name) or next(seconds)

    first = step("a", iter([9.0, 8.0, 7.0, 1.0, 6.0, 2.0]))
    contenders = {"a": first, "b": step("b", itertools.repeat(5.0))}
    assert turns.take_turns(contenders, 2) == {"a": [1.0, 2.0], "b": [5.0, 5.0]}
    assert said == ["a", "a", "b", "b"] * 3


def test_several_calls_are_waited_for_once(monkeypatch):
    now, said, number = [0.0], [], itertools.count(1)

    def passes(seconds, what):
        now[0] += seconds
        said.append(what)
        return what

    monkeypatch.setattr(turns.time, "perf_counter", lambda: now[0])
    step = turns.timed(lambda: passes(1, next(number)), lambda last: passes(5, f"wait {last}"), 5)
    assert step() == 2  # of five seconds and five
    assert said == [1, 2, 3, 4, 5, "wait 5"]


def test_a_contender_that_ends_is_left_out(capsys):
    process = turns.Process(["-c", PROGRAM])
    contenders = {"ours": lambda: 1.0, "torch": process.step("infer"), "matmul": lambda: 2.0}
    assert turns.take_turns(contenders, 2) == {"ours": [1.0, 1.0], "matmul": [2.0, 2.0]}
    said = capsys.readouterr().err
    assert said.startswith("torch is left out: ") and said.endswith("ended with exit code 3\n")
    process.close()


def test_a_program_that_does_not_start_is_left_out(capsys):
    started = turns.processes({"mute": ["-c", "raise SystemExit(3)"], "here": ["-c", PROGRAM]})
    assert list(started) == ["here"]
    assert capsys.readouterr().err.startswith("mute is left out: ")
    started["here"].close()


def test_a_process_takes_steps_until_it_ends():
    process = turns.Process(["-c", PROGRAM])
    assert process.hello == {"version": "1.2"}
    train = process.step("train")
    assert 0.05 <= train() < 5 and 0.05 <= train() < 5
    for name in ("infer", "train"):  # it ends in the first; then it is no longer there
        with pytest.raises(UserError, match="ended with exit code 3"):
            process.step(name)()
    process.close()


def test_a_process_has_the_environment_that_it_is_given():
    program = "import os; print([*map(int, os.environ['ONE'])])"
    process = turns.Process(["-c", program], {"ONE": "12"})
    assert process.hello == [1, 2]
    process.close()
