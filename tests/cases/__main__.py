"""Run the cases and print a line for each: python -m tests.cases [what pytest takes]."""

import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).parents[1]
# Cases that are tested with their module.
ELSEWHERE = (
    "analysis/report/test_page.py",
    "doctor/test_remedy.py",
    "doctor/test_dead_layers.py",
    "experiments/test_seed_statistics.py",
    "experiments/test_sweep.py",
    "net/test_width.py",
    "run/test_class_matching.py",
    "run/test_config.py",
    "run/test_folder.py",
    "runs/test_analysis.py",
    "runs/test_by_hand.py",
    "system/test_interrupt.py",
    "system/test_progress.py",
    "weights/test_init_from.py",
    "weights/test_pytorch.py",
    "weights/test_runs.py",
    "weights/test_wrapped.py",
)


class Lines:
    """Prints a line for each case, and the whole report of one that fails."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        if report.when == "call" or not report.passed:
            of = f" [{item.callspec.id}]" if hasattr(item, "callspec") else ""
            said = (item.function.__doc__ or item.name).split("\n")[0]
            print(f"{report.outcome:7} {item.path.stem}: {said}{of}", flush=True)
            if report.failed:
                print(report.longreprtext, flush=True)
        return report

    def pytest_collectreport(self, report):
        if report.failed:
            print(report.longreprtext, flush=True)


if __name__ == "__main__":
    places = [str(TESTS / name) for name in ("cases", *ELSEWHERE)]
    sys.exit(pytest.main(["-p", "no:terminal", *places, *sys.argv[1:]], plugins=[Lines()]))
