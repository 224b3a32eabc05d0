"""Fit certified nonlinear regressions with a Levenberg-Marquardt step and four callbacks.

The step is a pure function of a small state; `jf.iterate` repeats it and callbacks decide the rest:
when it has converged, what to record, which state was best, when to give up. Two problems of the
NIST Statistical Reference Datasets are fitted from both of NIST's starts and compared with the
certified parameters; then 64 random starts run at once under `jax.vmap`, each stopping by itself.

    python examples/fit_with_callbacks.py

Method: Marquardt (1963), with the scaling of Moré (1978) and the damping rule of Nielsen (1999).
Data: https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml, Misra1a and Thurber.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

import jfoundations as jf

jax.config.update("jax_enable_x64", True)  # the certified values have eleven digits

Residual = Callable[[jax.Array], jax.Array]  # parameters -> one number an observation


class Fit(NamedTuple):
    """Where a fit is, and what the method remembers."""

    params: jax.Array
    loss: jax.Array  # residual sum of squares at params
    accepted: jax.Array  # whether the last trial was taken
    scale: jax.Array  # the largest norm each column of the Jacobian has had
    damping: jax.Array
    growth: jax.Array  # what the next rejected trial multiplies the damping by


def start(residual: Residual, params: jax.Array) -> Fit:
    r, one = residual(params), jnp.ones(())
    return Fit(params, r @ r, jnp.asarray(True), jnp.zeros_like(params), 1e-3 * one, 2 * one)


def levenberg_marquardt(residual: Residual, s: Fit) -> Fit:
    r, J = residual(s.params), jax.jacfwd(residual)(s.params)
    scale = jnp.maximum(s.scale, jnp.linalg.norm(J, axis=0))

    # d minimises |J d + r|² + damping |scale d|²; QR of the stacked system keeps its digits
    Q, R = jnp.linalg.qr(jnp.concatenate([J, jnp.sqrt(s.damping) * jnp.diag(scale)]))
    d = -solve_triangular(R, Q[: len(r)].T @ r)
    trial = residual(s.params + d)
    loss = trial @ trial

    # gain: the fall of the loss, as a part of what the linear model predicted
    predicted = jnp.sum((J @ d) ** 2) + 2 * s.damping * jnp.sum((scale * d) ** 2)
    gain = (s.loss - loss) / jnp.maximum(predicted, jnp.finfo(loss.dtype).tiny)
    relax = jnp.maximum(1 / 3, 1 - (2 * gain - 1) ** 3)

    accepted = jnp.isfinite(loss) & (loss <= s.loss)
    taken = Fit(s.params + d, loss, accepted, scale, s.damping * relax, jnp.full_like(loss, 2))
    rejected = s._replace(
        accepted=accepted, scale=scale, damping=s.damping * s.growth, growth=2 * s.growth
    )
    return jax.tree.map(lambda a, b: jnp.where(accepted, a, b), taken, rejected)


CALLBACKS = (
    # a rejected trial moves nothing, which is not convergence: look at the accepted ones only
    jf.when(lambda s: s.accepted, jf.callbacks.converged(lambda s: s.params, rtol=1e-9)),
    jf.callbacks.terminate_on_nonfinite(lambda s: (s.params, s.loss, s.damping)),
    jf.callbacks.history(lambda s: s.loss),
    jf.callbacks.best(lambda s: s.loss),
)


@jax.jit
def run(residual: Residual, params: jax.Array) -> jf.LoopResult[Fit]:
    step = jf.partial(levenberg_marquardt, residual)
    return jf.iterate(step, start(residual, params), *CALLBACKS, max_steps=200)


class Problem(NamedTuple):
    """A regression problem with NIST's certified answer."""

    name: str
    model: Callable[..., Any]
    x: np.ndarray
    y: np.ndarray
    starts: np.ndarray  # NIST gives two: one far off, one near
    certified: np.ndarray
    certified_loss: float


def numbers(text: str) -> np.ndarray:
    return np.array(text.split(), float)


def residuals(model: Callable[..., Any], x: Any, y: Any, b: jax.Array) -> jax.Array:
    return model(x, *b) - y


def fit(problem: Problem, params: Any) -> jf.LoopResult[Fit]:
    return run(jf.partial(residuals, problem.model, problem.x, problem.y), params)


def misra1a(x: Any, b1: Any, b2: Any) -> Any:
    return b1 * (1 - jnp.exp(-b2 * x))


def thurber(x: Any, b1: Any, b2: Any, b3: Any, b4: Any, b5: Any, b6: Any, b7: Any) -> Any:
    return (b1 + x * (b2 + x * (b3 + x * b4))) / (1 + x * (b5 + x * (b6 + x * b7)))


MISRA1A = Problem(
    "Misra1a, y = b1 (1 - exp(-b2 x))",
    misra1a,
    numbers("77.6 114.9 141.1 190.8 239.9 289 332.8 378.4 434.8 477.3 536.8 593.1 689.1 760"),
    numbers("10.07 14.73 17.94 23.93 29.61 35.18 40.02 44.82 50.76 55.05 61.01 66.4 75.47 81.78"),
    starts=np.array([[500, 0.0001], [250, 0.0005]]),
    certified=numbers("238.94212918 0.00055015643181"),
    certified_loss=0.12455138894,
)
THURBER = Problem(
    "Thurber, y = (b1 + b2 x + b3 x^2 + b4 x^3) / (1 + b5 x + b6 x^2 + b7 x^3)",
    thurber,
    numbers("""-3.067 -2.981 -2.921 -2.912 -2.84 -2.797 -2.702 -2.699 -2.633 -2.481 -2.363
    -2.322 -1.501 -1.46 -1.274 -1.212 -1.1 -1.046 -0.915 -0.714 -0.566 -0.545 -0.4 -0.309
    -0.109 -0.103 0.01 0.119 0.377 0.79 0.963 1.006 1.115 1.572 1.841 2.047 2.2"""),
    numbers("""80.574 84.248 87.264 87.195 89.076 89.608 89.868 90.101 92.405 95.854 100.696
    101.06 401.672 390.724 567.534 635.316 733.054 759.087 894.206 990.785 1090.109 1080.914
    1122.643 1178.351 1260.531 1273.514 1288.339 1327.543 1353.863 1414.509 1425.208 1421.384
    1442.962 1464.35 1468.705 1447.894 1457.628"""),
    starts=np.array([[1000, 1000, 400, 40, 0.7, 0.3, 0.03], [1300, 1500, 500, 75, 1, 0.4, 0.05]]),
    certified=numbers("""1288.13968 1491.0792535 583.23836877 75.416644291 0.96629502864
    0.39797285797 0.049727297349"""),
    certified_loss=5642.7082397,
)


def digits(found: Any, certified: Any) -> np.ndarray:
    """Return how many digits agree, at most the eleven that are certified."""
    error = np.abs(np.asarray(found) / certified - 1)
    return np.minimum(-np.log10(np.maximum(error, 1e-16)), 11)


def one_start(problem: Problem, k: int) -> None:
    result = fit(problem, problem.starts[k])
    best = result.memory["best"]
    equal = digits(best.state.params, problem.certified)
    print(problem.name)
    print(f"start {k + 1}: {result.steps} steps, stopped by {', '.join(result.reasons)}")
    print(f"\n  {'fitted':>26}{'certified':>18}{'digits equal':>14}")
    for j, b in enumerate(best.state.params):
        print(f"  b{j + 1:<7}{b:18.11g}{problem.certified[j]:18.11g}{equal[j]:14.1f}")

    print("\n  residual sum of squares after each step, on a log scale")
    losses = result.memory["history"].values
    heights = 49 * np.log(losses / losses[-1]) / np.log(losses[0] / losses[-1])
    falling = np.count_nonzero(losses > 1.0005 * losses[-1])
    for i in range(falling):
        print(f"  {i + 1:4}{losses[i]:12.5g}  {'#' * round(1 + heights[i])}")
    print(f"   ...{losses[-1]:12.5g}  # {len(losses) - falling} more steps for the last digits\n")
    assert result.reasons == ("converged",) and best.value == result.state.loss
    assert equal.min() >= 6 and digits(best.value, problem.certified_loss) >= 6


def random_starts(problem: Problem, n: int = 64) -> None:
    print(problem.name)
    print(f"{n} random starts at once, each parameter of start 1 times 1/2 to 2")
    spread = np.random.default_rng(0).uniform(-1, 1, (n, len(problem.certified)))
    result = jax.vmap(lambda params: fit(problem, params))(problem.starts[0] * 2**spread)
    steps, loss = np.asarray(result.steps), np.asarray(result.state.loss)
    for reasons, count in Counter(result.reasons).most_common():
        print(f"  {count} of {n} stopped by {', '.join(reasons)}")
    print(f"  steps: {steps.min()} at the least, {np.median(steps):.0f} median, {steps.max()} most")

    converged = np.array(["converged" in reasons for reasons in result.reasons])
    certified = converged & (digits(loss, problem.certified_loss) >= 6)
    fewest = digits(result.state.params[certified], problem.certified).min()
    print(f"  {certified.sum()} at the certified minimum, with {fewest:.1f} digits equal or more")
    print(f"  {(converged & ~certified).sum()} at other, higher minima\n")
    assert certified.sum() >= n / 2 and fewest >= 6
    assert loss.min() > problem.certified_loss * (1 - 1e-9)


def main() -> None:
    for problem in (MISRA1A, THURBER):
        one_start(problem, 0)
        one_start(problem, 1)
        random_starts(problem)
    print("Misra1a from b1 = 500, b2 = -1, where exp(-b2 x) overflows")
    result = fit(MISRA1A, np.array([500.0, -1.0]))
    print(f"{result.steps} step, stopped by {', '.join(result.reasons)}")
    assert result.reasons == ("terminate_on_nonfinite",)


if __name__ == "__main__":
    main()
