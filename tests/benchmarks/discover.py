"""How much `laws.discover` finds of what is known, and whether that holds of many more examples.

    python tests/benchmarks/discover.py [NAME …]

Of each function of `tests/cases/known_laws.py`: the laws known by hand that are missed, those found
beside them, those found that fail one of 10,000 further examples, and the seconds of both runs.
"""

import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "cases"))

from known_laws import GENERAL, KNOWN, missed  # noqa: E402

from jfoundations.testing import laws  # noqa: E402

FURTHER = 10_000


def broken(found, further):
    """Return the laws found that fail of further examples, or hold to a wider bound."""
    failed = []
    for law in found.held:
        before, now = found[law], further[law]
        # what is reported is four times what was seen
        close = now.exact >= before.exact and now.units <= 4 * before.units
        if not (now.holds and now.constant == before.constant and close):
            failed.append(f"{law} ({before.verdict}, {now.verdict})")
    return failed


def main():
    known = found = kept = beside = 0
    for name in sys.argv[1:] or KNOWN:
        f, (names, degree) = KNOWN[name]
        start = time.perf_counter()
        report = laws.discover(f, dtypes=())
        first = time.perf_counter() - start
        # the examples of before and many more; the transforms' and nouns' are few, and others
        further = laws.discover(f, dtypes=(), max_examples=4096 + FURTHER)
        lacking, failed = missed(report, names, degree), broken(report, further)
        others = set(report.held) - names - GENERAL
        known, found = known + len(names), found + len(names) - len(lacking)
        kept, beside = kept + len(report.held) - len(failed), beside + len(failed)
        words = f"missed {sorted(lacking)}, beside {sorted(others)}, failed {failed}"
        print(f"{name:18} {first:6.1f} s {time.perf_counter() - start:6.1f} s  {words}", flush=True)
    print(f"of {known} known laws {found} are found; of {kept + beside} reported {beside} fail")


if __name__ == "__main__":
    main()
