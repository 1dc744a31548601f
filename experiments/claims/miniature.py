"""The text of the miniature's result for a claim of the ledger."""

import functools

from experiments.claims.figures import RECORDS
from experiments.miniature.contents import Found, errors_text, found
from experiments.miniature.protocol import BASELINE, ENTRIES
from experiments.miniature.verdicts import NOT_RUN, TOO_FEW

FIGURE3 = "figure 3"


@functools.cache
def _found() -> Found:
    return found(RECORDS / "miniature")


def text(name: str) -> str:
    """Return the result of an entry, "" for none: its errors, or its difference and verdict."""
    if not name:
        return "-"
    seen = _found()
    if name == FIGURE3:
        return _figure3([run.result["colour"] for run in seen.of(BASELINE)])
    if not (runs := seen.of(name)):
        return NOT_RUN
    if name == BASELINE:
        looks = [run.look("test", 10) for run in runs]
        errors = [errors_text([look[f"{k}_error"] for look in looks]) for k in ("top1", "top5")]
        return f"{' / '.join(errors)} (n = {len(runs)})"
    if (effect := seen.effects[name]) is None:
        return NOT_RUN
    if effect.low is None:
        return f"{effect.mean:+.1f} (n = {effect.seeds}): {TOO_FEW}"
    (entry,) = [entry for entry in ENTRIES if entry.name == name]
    interval = f"[{effect.low:+.1f}, {effect.high:+.1f}]"
    return f"{effect.mean:+.1f} {interval} (n = {effect.seeds}): {seen.verdict(entry)}"


def _figure3(shares: list[dict]) -> str:
    """Return in how many runs the columns' shares of colour differ by more than chance gives."""
    if not shares:
        return NOT_RUN
    more = sum(share["difference"] > share["difference_by_chance"] for share in shares)
    differences = ", ".join(f"{share['difference']:.2f}" for share in shares)
    return f"the columns differ by {differences}: more than by chance in {more} of {len(shares)}"
