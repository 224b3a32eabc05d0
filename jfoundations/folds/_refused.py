"""What no fold can be: statistics that one pass over parts of the data does not give."""

from .._core.checks import no_attribute

_ABOUT_THE_MEAN = "deviations from the mean are not known before all data are"
_ORDER = "it needs the data in order, which parts of them do not give"
REFUSED = {
    "mean_abs_dev": f"{_ABOUT_THE_MEAN}, so parts cannot be merged; use folds.std, or a second "
    "pass: folds.mean().of(lambda x: jnp.abs(x - mean))",
    "median_abs_dev": f"{_ORDER}; take m = fold(folds.median(), data), and in a second pass "
    "folds.median().of(lambda x: jnp.abs(x - m)), to 1 % of its value",
    "trim_mean": f"{_ORDER}; take the cuts with folds.quantile, and in a second pass "
    "folds.mean().where(lambda x: (low <= x) & (x <= high))",
    "rank_corr": f"{_ORDER}; use folds.corr, or stats.rank_corr of the whole array",
    "bootstrap": "it draws from the whole sample again and again; use folds.sem, or "
    "stats.bootstrap of the whole array",
    "standardize": f"{_ABOUT_THE_MEAN}; take folds.mean and folds.std, and map the data with them",
}


def refuse(name: str, known: list[str]) -> AttributeError:
    """Return the error for a name that folds do not have."""
    if name in REFUSED:
        return AttributeError(f"there is no folds.{name}: {REFUSED[name]}")
    return no_attribute("jfoundations.folds", name, known)
