"""What a progress bar costs: `chunks` under tqdm, and the bars that other packages put into a loop.

    python tests/benchmarks/progress.py
    python tests/benchmarks/progress.py --seconds 1

Each bar is measured against the same loop without it, in interleaved rounds; a median of 0 % is a
bar for nothing. `chunks` comes back to the host ten times a second; the others call it from inside
the graph, twenty times a run of a twentieth of the length. A package that is not installed is left
out by name: `pip install jax-tqdm numpyro 'blackjax<1.3'` (later ones call the host in every step).
"""

import argparse
import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from _timing import interleaved, table
from jax import lax
from tqdm import tqdm

import jfoundations as jf


def tiny(x: jax.Array) -> jax.Array:
    """Take a step of a few nanoseconds."""
    return x * 0.9999999 + 1e-9


def small(x: jax.Array) -> jax.Array:
    """Take a step of about a microsecond."""
    return x * 0.99999 + 1e-6 * jnp.sin(x)


BODIES: dict[str, tuple[Callable[..., Any], jax.Array]] = {
    "scalar": (tiny, jnp.ones((), jnp.float32)),
    "1024 elements": (small, jnp.ones(1024, jnp.float32)),
}
Runs = dict[str, Callable[[], object]]


def with_chunks(step: Any, x: Any, n: int) -> Runs:
    """Return our loop in one go, and by the chunk under tqdm."""

    def bar() -> object:
        result = None
        with open(os.devnull, "w") as nowhere, tqdm(total=n, file=nowhere) as shown:
            for result in jf.chunks(step, x, max_steps=n, seconds=0.1):
                shown.update(int(result.steps) - shown.n)
        return result

    return {"plain": lambda: jf.iterate(step, x, max_steps=n), "bar": bar}


def with_jax_tqdm(step: Any, x: Any, n: int) -> Runs:
    """Return a `fori_loop`, and one with jax-tqdm's bar."""
    from jax_tqdm import loop_tqdm

    def body(_: Any, x: Any) -> Any:
        return step(x)

    told = loop_tqdm(n)(body)
    return {
        "plain": compiled(lambda x: lax.fori_loop(0, n, body, x), x),
        "bar": compiled(lambda x: lax.fori_loop(0, n, told, x), x),
    }


def with_numpyro(step: Any, x: Any, n: int) -> Runs:
    """Return a `fori_loop`, and one with numpyro's bar."""
    from numpyro.util import progress_bar_factory

    def body(_: Any, x: Any) -> Any:
        return step(x)

    told = progress_bar_factory(n, 1, n // 20)(body)
    first = jnp.array(0)
    return {
        "plain": compiled(lambda x: lax.fori_loop(0, n, body, x), x),
        "bar": compiled(lambda x: lax.fori_loop(0, n, told, (x, first)), x),
    }


def compiled(run: Callable[..., Any], x: Any) -> Callable[[], object]:
    """Return a run of one argument, compiled."""
    return functools.partial(jax.jit(run).lower(x).compile(), x)


def with_blackjax(step: Any, x: Any, n: int) -> Runs:
    """Return a scan, and one with blackjax's bar."""
    from blackjax.progress_bar import gen_scan_fn

    def scan(bar: bool) -> Any:
        body = lambda x, _: (step(x), None)  # noqa: E731
        return lambda x: gen_scan_fn(n, bar)(body, x, jnp.arange(n))[0]

    return {"plain": compiled(scan(False), x), "bar": compiled(scan(True), x)}


BARS: dict[str, tuple[Callable[[Any, Any, int], Runs], float]] = {
    "chunks, tqdm": (with_chunks, 1.0),
    "jax-tqdm": (with_jax_tqdm, 0.05),
    "numpyro": (with_numpyro, 0.05),
    "blackjax": (with_blackjax, 0.05),
}


def steps_in(seconds: float, step: Any, x: Any) -> int:
    """Return how many steps take so many seconds."""
    n = 1 << 16
    while (taken := interleaved({"run": with_chunks(step, x, n)["plain"]}, 3)["run"]) < 0.2:
        n *= 4
    return round(n * seconds / taken)


def measure(name: str, seconds: float, rounds: int) -> list[dict[str, object]]:
    """Return a row a bar for one body."""
    step, x = BODIES[name]
    n = steps_in(seconds, step, x)
    rows: list[dict[str, object]] = []
    for bar, (make, part) in BARS.items():
        length = round(n * part)
        try:
            with quiet():
                found = interleaved(make(step, x, length), rounds)
        except ImportError as missing:
            rows.append(row(name, bar, f"left out: {missing}", "", None))
            continue
        over = (found["bar"] / found["plain"] - 1) * 100
        took = f"{found['plain']:.3g} s"
        rows.append(row(name, bar, took, f"{found['plain'] / length * 1e9:.3g}", over))
    return rows


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let the bars draw into nowhere."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        with contextlib.redirect_stdout(nowhere):
            yield


def row(body: str, bar: str, plain: str, each: str, over: float | None) -> dict[str, object]:
    """Return one line of the table."""
    text = "" if over is None else f"{over:+.2f} %"
    return {"body": body, "bar": bar, "without it": plain, "ns a step": each, "with it": text}


def main() -> None:
    """Print what each costs."""
    parser = argparse.ArgumentParser(description="What progress bars cost a loop.")
    parser.add_argument("--seconds", type=float, default=5.0, help="about how long a run takes")
    parser.add_argument("--rounds", type=int, default=5)
    told = parser.parse_args()
    rows: list[dict[str, object]] = []
    for name in BODIES:
        rows += measure(name, told.seconds, told.rounds)
    table(rows)


if __name__ == "__main__":
    main()
