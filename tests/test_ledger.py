"""The tables of both READMEs are what the records say; the ledger names what is there."""

import re

import generated
import ledger
import pytest
import results
import tiny


def test_the_ledger_is_what_the_records_say():
    text = ledger.README.read_text()
    assert ledger.written(text) == text, "run python experiments/ledger.py"
    drifted = text.replace("too noisy to say |", "agrees |")
    assert drifted != text and ledger.written(drifted) == text


def test_the_readmes_tables_are_what_the_records_say():
    text = results.README.read_text()
    assert results.written(text) == text, "run python experiments/results.py"
    for figure in (*(figure for _, figure in results.rows()), "at step 500"):
        drifted = text.replace(f"{figure} |", "better |")
        assert drifted != text and results.written(drifted) == text


def test_a_file_without_the_place_is_not_written():
    with pytest.raises(ValueError, match="unpack"):
        generated.replaced("no comments", "results", "results.py", "| a |")


def test_each_claim_has_its_command_and_a_verdict_that_fits():
    for claim in ledger.CLAIMS:
        script = claim.command.split()[0]
        if script == "python":
            module = re.search(r"-m (\S+)", claim.command)[1].replace(".", "/")
            assert (tiny.REPOSITORY / f"{module}.py").is_file(), claim.command
            for config in re.findall(r"configs/\S+", claim.command):
                assert (tiny.REPOSITORY / config).is_file(), config
        else:
            assert (ledger.HERE / script).is_file(), claim.command
        assert claim.verdict.startswith("not run") == (not claim.record), claim.claim
