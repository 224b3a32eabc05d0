"""Statistics of a stream: Michelson's 1879 measurements of the speed of light, block by block.

A fold eats blocks of any length, keeps a few numbers, and can be asked at any time. Here folds run
over uneven blocks, as they would come from a disk or a wire, and give the mean, the deviation and
the correlation of each measurement with the one before it. The answers are compared with those of
the whole array at once, and with the values certified by NIST. A statistic that no library has, the
coefficient of variation, is one formula, of the stream, of the array, of windows and of groups.

    python examples/streaming_statistics.py

Data: https://www.itl.nist.gov/div898/strd/univ/michelso.html (100 values, in 1000 km/s).
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np

import jfoundations as jf

jax.config.update("jax_enable_x64", True)  # the certified values have fifteen digits

# Michelson wrote km/s above 299 000.
ABOVE_299000 = """
850 740 900 1070 930 850 950 980 980 880 1000 980 930 650 760 810 1000 1000 960 960 960 940 960 940
880 800 850 880 900 840 830 790 810 880 880 830 800 790 760 800 880 880 880 860 720 720 620 860 970
950 880 910 850 870 840 840 850 840 840 840 890 810 810 820 800 770 760 740 750 760 910 920 890 860
880 720 840 850 850 780 890 840 780 810 760 810 790 810 820 850 870 870 810 740 810 940 950 800 810
870
"""
SPEED = (299000 + np.array(ABOVE_299000.split(), float)) / 1000

CERTIFIED = {"mean": 299.8524, "std": 0.0790105478190518, "autocorrelation": 0.535199668621283}


def stream() -> Iterator[np.ndarray]:
    """Yield the measurements in blocks of uneven length."""
    yield from np.split(SPEED, [1, 20, 27, 60, 61, 93])


def with_previous(blocks: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the pairs (one before, this one) of a stream, across the seams of its blocks."""
    last = np.empty(0)
    for block in blocks:
        joined = np.concatenate([last, block])
        if len(joined) > 1:
            yield joined[:-1], joined[1:]
        last = joined[-1:]


SPREAD = jf.combine(
    n=jf.folds.count(),
    mean=jf.folds.mean(),
    std=jf.folds.std(correction=1),
    var=jf.folds.var(),
)
VARIATION = jf.stats.Statistic(lambda m: m.std(1) / m.mean, name="variation")
PAIRS = jf.combine(
    n=jf.folds.count(),
    corr=jf.folds.corr(),
    cov=jf.folds.cov(),
    before=jf.folds.mean().of(lambda pair: pair[0]),
    after=jf.folds.mean().of(lambda pair: pair[1]),
)


def floats(answers: dict[str, Any]) -> dict[str, float]:
    return {name: float(answer) for name, answer in answers.items()}


def autocorrelation(spread: dict[str, float], pairs: dict[str, float]) -> float:
    """Return NIST's lag-1 autocorrelation: sum(d[i-1] d[i]) / sum(d[i]^2), d = x - mean(x).

    The deviations are from the mean of all measurements. Pearson's correlation of the pairs takes
    each side about its own mean and deviation, so it differs; its covariance is moved over here by
    E[(u - m)(v - m)] = cov(u, v) + (E[u] - m)(E[v] - m).
    """
    m = spread["mean"]
    product = pairs["cov"] + (pairs["before"] - m) * (pairs["after"] - m)
    return pairs["n"] * product / (spread["n"] * spread["var"])


def at_once() -> dict[str, float]:
    """Return the same statistics of the whole array, each from its definition."""
    d = SPEED - jf.stats.mean(SPEED)
    return floats(
        {
            "mean": jf.stats.mean(SPEED),
            "std": jf.stats.std(SPEED, correction=1),
            "autocorrelation": (d[:-1] @ d[1:]) / (d @ d),
            "corr": jf.stats.corr(SPEED[:-1], SPEED[1:]),
        }
    )


def digits(found: float, certified: float) -> float:
    """Return how many digits agree: 15.95 is all that float64 has."""
    return min(15.95, -math.log10(max(abs(found / certified - 1), 1e-16)))


def main() -> None:
    spread = floats(jf.fold(SPREAD, stream()))
    pairs = floats(jf.fold(PAIRS, with_previous(stream())))
    streamed = {
        "mean": spread["mean"],
        "std": spread["std"],
        "autocorrelation": autocorrelation(spread, pairs),
        "corr": pairs["corr"],
    }
    whole = at_once()

    print(f"Speed of light, {spread['n']:.0f} measurements of 1879 in 1000 km/s, in 7 blocks")
    print(f"{'':17}{'streamed':>20}{'at once':>20}{'certified':>20}{'digits equal':>14}")
    for name, value in streamed.items():
        print(f"{name:17}{value:20.15g}{whole[name]:20.15g}", end="")
        if name in CERTIFIED:
            certified = CERTIFIED[name]
            print(f"{certified:20.15g}{digits(value, certified):14.1f}", end="")
        print()

    print(
        "\nautocorrelation is NIST's, about the mean of all measurements; corr is Pearson's, of the"
        "\n99 pairs (one before, this one), each side about its own mean. NIST certifies the first."
    )
    # Michelson measured in five series of twenty: of one statistic, all its forms
    series = VARIATION.segment(SPEED, segment_ids=np.repeat(range(5), 20), num_segments=5)
    moving = VARIATION.rolling(SPEED, window=20)
    in_all, in_stream = VARIATION(SPEED), jf.fold(jf.folds.statistic(VARIATION), stream())
    print("\ncoefficient of variation, in millionths")
    print(f"  {'streamed':24}{in_stream * 1e6:8.2f}   at once {in_all * 1e6:8.2f}")
    print(f"  {'of each series':24}" + " ".join(f"{v * 1e6:8.2f}" for v in series))
    print(f"  {'of 20 in a row':24}{min(moving) * 1e6:8.2f} to {max(moving) * 1e6:8.2f}")
    assert digits(float(in_stream), float(in_all)) > 13
    assert all(digits(float(a), float(b)) > 13 for a, b in zip(series, moving[::20], strict=True))

    assert (spread["n"], pairs["n"]) == (100, 99)
    for name in streamed:
        assert digits(streamed[name], whole[name]) > 13, name
    # 299.85 is no float64: rounding the data alone leaves std 13.8 digits, autocorrelation 13.4.
    assert digits(streamed["mean"], CERTIFIED["mean"]) > 15
    assert digits(streamed["std"], CERTIFIED["std"]) > 13.5
    assert digits(streamed["autocorrelation"], CERTIFIED["autocorrelation"]) > 13


if __name__ == "__main__":
    main()
