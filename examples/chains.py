"""Four Markov chains in one compiled loop, which stops when they agree and have told enough.

Random-walk Metropolis samples the eight schools of Rubin (1981): by how much did coaching raise the
scores of each, if the effects come from one normal distribution with mean mu and deviation tau? The
loop watches R-hat and the effective sample size of all ten parameters, and ends when the largest
R-hat is below 1.01 and the smallest effective sample size above 400. What came of it is held
beside the posterior itself, which here an integral over two numbers gives.

    python examples/chains.py
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jfoundations as jf

CHAINS, WARM_UP, MOST = 4, 100, 5000  # draws
THIN = 20  # steps of the walk from one draw to the next
LAGS = 60  # of draws, that the effective sample size may look at
EFFECT = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0], np.float32)
ERROR = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0], np.float32)
STRIDE = 0.75 * np.array([3.3, 1.2, *[1.0] * 8], np.float32)  # 2.4 / √10 of about the posterior's


def log_density(at: Any) -> jax.Array:
    """Return the log posterior of (mu, log tau, z), where the effect of school k is mu + tau z_k.

    The prior of mu is normal with deviation 5, that of tau half a Cauchy of scale 5.
    """
    mu, log_tau, z = at[0], at[1], at[2:]
    tau = jnp.exp(log_tau)
    prior = log_tau - (mu / 5) ** 2 / 2 - jnp.log1p((tau / 5) ** 2) - jnp.sum(z**2) / 2
    return prior - jnp.sum(((EFFECT - mu - tau * z) / ERROR) ** 2) / 2


def walk(chain: tuple[jax.Array, jax.Array], key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Take a step of Metropolis: propose a place, and go there or stay."""
    at, height = chain
    noise, chance = jax.random.split(key)
    new = at + STRIDE * jax.random.normal(noise, at.shape)
    there = log_density(new)
    go = jnp.log(jax.random.uniform(chance)) < there - height
    return jnp.where(go, new, at), jnp.where(go, there, height)


def draw(chains: Any, *, key: jax.Array) -> Any:
    """Take a draw of all chains: so many steps that one draw differs from the next."""

    def steps(chains: Any, key: jax.Array) -> tuple[Any, None]:
        return jax.vmap(walk)(chains, jax.random.split(key, CHAINS)), None

    return jax.lax.scan(steps, chains, jax.random.split(key, THIN))[0]


def parameters(chains: Any) -> jax.Array:
    """Return mu, tau and the eight effects of each chain, (chains, 10)."""
    mu, log_tau, z = jnp.split(chains[0], [1, 2], axis=1)
    tau = jnp.exp(log_tau)
    return jnp.concatenate([mu, tau, mu + tau * z], axis=1)


SEEN = jf.combine(
    rhat=jf.folds.rhat(), ess=jf.folds.ess(LAGS), mcse=jf.folds.mcse(LAGS), mean=jf.folds.mean()
)


def enough(seen: Any) -> jax.Array:
    """Tell whether the chains agree and are worth enough, in every parameter."""
    return jnp.all(seen["rhat"] < 1.01) & jnp.all(seen["ess"] > 400)


@jax.jit
def run(key: jax.Array) -> jf.LoopResult:
    """Warm the chains up, and let them run until it is enough."""
    start, first, second = jax.random.split(key, 3)
    at = 2 * STRIDE * jax.random.normal(start, (CHAINS, 10))  # wider than the posterior
    chains = (at, jax.vmap(log_density)(at))
    warm = jf.iterate(draw, chains, max_steps=WARM_UP, key=first).state
    stop = jf.callbacks.until(SEEN, parameters, when=enough, name="enough")
    draws = jf.callbacks.history(parameters)
    return jf.iterate(draw, warm, stop, draws, max_steps=MOST, key=second)


def posterior() -> tuple[float, float]:
    """Return the means of mu and tau, by sums over a grid of both; the schools are integrated."""
    mu, log_tau = np.linspace(-25, 35, 301)[:, None], np.linspace(-12, 6, 601)
    tau = np.exp(log_tau)
    log = log_tau - (mu / 5) ** 2 / 2 - np.log1p((tau / 5) ** 2)
    for effect, error in zip(EFFECT, ERROR, strict=True):
        square = float(error) ** 2 + tau**2
        log = log - (float(effect) - mu) ** 2 / square / 2 - np.log(square) / 2
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    return float(np.sum(weight * mu)), float(np.sum(weight * tau))


def main() -> None:
    """Sample, say what the chains tell of themselves, and compare with the posterior."""
    result = run(jax.random.key(0))
    assert result.reasons == ("enough",)
    steps = int(result.steps)
    print(f"stopped by {result.reasons[0]} after {steps} draws, {steps * THIN} steps, of 4 chains")
    seen = jax.jit(SEEN.extract)(result.memory["enough"])
    print(f"in the loop: R-hat {max(seen['rhat']):.4f}, ESS {min(seen['ess']):.0f}, of the worst")

    # what no stream can tell: of ranks, which see chains that differ in their tails alone
    draws = np.swapaxes(result.memory["history"].values, 0, 1)  # (chains, draws, 10)
    rhat, worth = jf.diagnostics.rhat(draws), jf.diagnostics.ess(draws)
    print("\n      mean    mcse  posterior  of ranks: R-hat   ESS")
    for k, (name, known) in enumerate(zip(("mu", "tau"), posterior(), strict=True)):
        mean, error = float(seen["mean"][:, k].mean()), float(seen["mcse"][k])
        print(f"{name:4}{mean:6.2f}{error:8.3f}{known:11.3f}{rhat[k]:17.4f}{worth[k]:6.0f}")
        assert abs(mean - known) < 4 * error
    assert np.all(rhat < 1.02) and np.all(worth > 300)


if __name__ == "__main__":
    main()
