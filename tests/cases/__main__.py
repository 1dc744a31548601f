"""Run the cases and print a line for each: python -m tests.cases [what pytest takes]."""

import pathlib
import sys

import pytest


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
    here = str(pathlib.Path(__file__).parent)
    sys.exit(pytest.main(["-p", "no:terminal", here, *sys.argv[1:]], plugins=[Lines()]))
