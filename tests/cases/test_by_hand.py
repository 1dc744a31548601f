"""The learning rate is changed by hand on a run that was stopped."""

from tests.support import commands, tiny


def test_another_rate_from_here_on(tmp_path):
    """--config.optimizer.learning_rate with --from_here; the refusal without it names it."""
    tiny.write_images(tmp_path)
    workdir, how = tmp_path / "run", {"epochs": 1}
    assert commands.run("main", *tiny.run_flags(tmp_path, workdir, **how)).code == 0
    flags = tiny.run_flags(tmp_path, workdir, epochs=2, optimizer__learning_rate=0.001)
    done = commands.run("main", *flags)
    assert done.code == 2 and "--from_here to change the learning rate from here on" in done.err
    for last in (("--from_here",), ("--from_here",), ()):
        done = commands.run("main", *flags, *last)
        assert done.code == 0 and "Traceback" not in done.err
        rates = [(line["step"], line["learning_rate"]) for line in tiny.lines(workdir)]
        assert rates[5] == (6, 0.01) and set(rates[7:]) == {(k, 0.001) for k in range(7, 12)}
