"""The laws that functions and nouns are known to keep, for `laws.discover` to find."""

from known_arrays import ONE
from known_nouns import BREACHES as BREACHES
from known_nouns import NOUNS
from known_pairs import TWO

# What is found of nearly all, and is not counted.
GENERAL = {
    *("dtype", "jit", "vmap", "grad", "finite_grad", "shard"),
    *("deletion", "repetition", "poison"),
}
KNOWN = {**ONE, **TWO, **NOUNS}


def missed(report, laws, degree):
    """Return the known laws that a report lacks."""
    lacking = {law for law in laws if law not in report or not report[law].holds}
    one = report.get("homogeneous")
    if one is not None and one.holds and degree is not None and abs(one.constant - degree) > 1e-6:
        lacking.add("homogeneous")
    return lacking
