"""How much `laws.discover` finds of what is known, and whether that holds of many more examples.

    python tests/benchmarks/discover.py [NAME …]

Of each function of `tests/cases/known_laws.py`: the laws known by hand that are missed, those found
beside them, those found that fail one of 10,000 further examples, and how long the first run took:
in seconds, and of them what two cores computed. Of each noun with a planted breach: which laws that
it breaks are found to hold. With a persistent compilation cache, a second run is one after the
first compile.
"""

import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "cases"))

from known_laws import BREACHES, GENERAL, KNOWN, missed  # noqa: E402

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
    names = sys.argv[1:] or [*KNOWN, *BREACHES]
    totals = dict.fromkeys(("functions", "known", "found", "reported", "failed", "unseen"), 0)
    most = 0.0
    for name in names:
        if name in BREACHES:
            noun, broken_laws = BREACHES[name]
            unseen = broken_laws & set(laws.discover(noun, dtypes=(), max_examples=1600).held)
            totals["unseen"] += len(unseen)
            print(f"{name:22} breach, unseen {sorted(unseen)}", flush=True)
            continue
        f, (wanted, degree) = KNOWN[name]
        start, busy = time.perf_counter(), time.process_time()
        report = laws.discover(f, dtypes=())
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
        # the examples of before and many more; the transforms' and nouns' are few, and others
        further = laws.discover(f, dtypes=(), max_examples=4096 + FURTHER)
        lacking, failed = missed(report, wanted, degree), broken(report, further)
        others = set(report.held) - wanted - GENERAL
        counts = 1, len(wanted), len(wanted) - len(lacking), len(report.held), len(failed), 0
        totals = {key: totals[key] + n for key, n in zip(totals, counts, strict=True)}
        most = max(most, busy / 2)
        words = f"missed {sorted(lacking)}, beside {sorted(others)}, failed {failed}"
        print(f"{name:22} {seconds:6.1f} s {busy / 2:6.1f} s  {words}", flush=True)
    print(", ".join(f"{n} {key}" for key, n in totals.items()), f"{most:.1f} s at most", sep=", ")


if __name__ == "__main__":
    main()
