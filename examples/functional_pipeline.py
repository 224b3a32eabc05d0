"""One pipe from raw data to a number: features, model and metric. It finds Kepler's third law.

The features are logarithms, standardised; the model is a line with two parameters; the metric is
the mean square of what it misses. All of it is one Pipe, a value: it is shown, compiled once for
all parameters, mapped over many models, differentiated in its parameters, turned around to speak
of days again, and put in front of a stream.

    python examples/functional_pipeline.py

Data: https://nssdc.gsfc.nasa.gov/planetary/factsheet/ (distance in 10**6 km, period in days).
"""

import re
from typing import Any

import jax
import jax.numpy as jnp

import jfoundations as jf

PLANETS = {
    "Mercury": (57.9, 88.0),
    "Venus": (108.2, 224.7),
    "Earth": (149.6, 365.2),
    "Mars": (228.0, 687.0),
    "Jupiter": (778.5, 4331.0),
    "Saturn": (1432.0, 10747.0),
    "Uranus": (2867.0, 30589.0),
    "Neptune": (4515.0, 59800.0),
}
ROWS = jnp.array(list(PLANETS.values()))
PLUTO = (5906.4, 90560.0)  # not seen by the model


def scale(mean: jax.Array, std: jax.Array, rows: jax.Array) -> jax.Array:
    return (rows - mean) / std


def unscale(mean: jax.Array, std: jax.Array, rows: jax.Array) -> jax.Array:
    return rows * std + mean


def line(parameters: dict[str, Any], rows: jax.Array) -> jax.Array:
    """Return what a line through the features misses of each period."""
    return rows[..., 1] - (parameters["slope"] * rows[..., 0] + parameters["intercept"])


def mean_square(missed: jax.Array) -> jax.Array:
    return jnp.mean(jnp.square(missed))


def features(rows: jax.Array) -> jf.Pipe[Any, Any]:
    """Return the preparation of rows like these, each stage with what undoes it."""
    log = jf.Reversible(jnp.log, jnp.exp)
    of = jf.stats.mean(log(rows), axis=0), jf.stats.std(log(rows), axis=0)
    standard = jf.Reversible(jf.partial(scale, *of), jf.partial(unscale, *of))
    return jf.Pipe(log=log, standard=standard)


def model(slope: Any, intercept: Any) -> jf.partial[Any]:
    return jf.partial(line, {"slope": jnp.asarray(slope), "intercept": jnp.asarray(intercept)})


def outer(row: jax.Array) -> jax.Array:
    return row[0] > 500


TRACED: list[jf.Pipe[Any, Any]] = []


@jax.jit
def score(pipe: jf.Pipe[Any, Any], rows: jax.Array) -> jax.Array:
    TRACED.append(pipe)  # not at each call, but when the program is made
    return pipe(rows)


def fit(prepare: jf.Pipe[Any, Any], start: Any) -> jf.LoopResult[Any]:
    """Descend the gradient of the whole pipe in its model; the loop's state is that stage."""

    def loss(stage: Any) -> jax.Array:
        return (prepare >> jf.Pipe(line=stage) >> mean_square)(ROWS)

    def descend(stage: Any) -> Any:
        return jax.tree.map(lambda p, d: p - 0.2 * d, stage, jax.grad(loss)(stage))

    still = jf.callbacks.converged(rtol=1e-6, atol=1e-6)
    return jf.iterate(descend, start, still, max_steps=200)


def parameters(stage: jf.partial[Any]) -> dict[str, Any]:
    return stage.args[0]


def main() -> None:
    prepare = features(ROWS)
    pipe = prepare >> jf.Pipe(line=model(0.0, 0.0)) >> mean_square
    print(f"the pipe:            {pipe}")
    print(f"turned around:       {prepare.inverse}")

    text = score.lower(pipe, ROWS).as_text(debug_info=True)
    for stage in pipe.names:
        operations = sorted(set(re.findall(rf'"jit\(score\)/({stage}/\w+)"', text)))
        print(f"in the compiled:     {', '.join(operations)}")
        assert operations

    for slope in (0.0, 0.5, 1.0):
        score(prepare >> jf.Pipe(line=model(slope, 0.0)) >> mean_square, ROWS)
    print(f"traced:              {len(TRACED)} time, for four models built anew")
    assert len(TRACED) == 1

    starts = model(jnp.linspace(-2.0, 2.0, 5), jnp.linspace(1.0, -1.0, 5))
    fits = jax.jit(jax.vmap(lambda start: fit(prepare, start)))(starts)
    print(f"fitted:              5 starts at once, {fits.steps.tolist()} steps")
    slopes = parameters(fits.state)["slope"]
    assert float(jnp.ptp(slopes)) < 1e-4

    best = jax.tree.map(lambda leaf: leaf[0], fits.state)
    standard: Any = prepare["standard"]
    _, std = standard.forward.args
    exponent = float(parameters(best)["slope"] * std[1] / std[0])
    print(f"Kepler's exponent:   {exponent:.4f}, and 3/2 in his third law")
    assert abs(exponent - 1.5) < 3e-3

    # A row whose feature of the period is what the line says has nothing missed.
    pluto = prepare(jnp.array(PLUTO))
    predicted = prepare.inverse(pluto.at[1].add(-best(pluto)))
    print(f"Pluto's year:        {float(predicted[1]):.0f} days predicted, {PLUTO[1]:.0f} seen")
    assert abs(float(predicted[1]) / PLUTO[1] - 1) < 0.01

    first_outer = jf.Pipe(far=jf.filter_(outer), end=jf.take(2))
    missed = (first_outer >> prepare >> jf.Pipe(line=best)).over(jf.folds.mean().map(jnp.abs))
    print(f"of a stream:         {float(jf.fold(missed, ROWS)):.4f} missed of Jupiter and Saturn")
    by_hand = jnp.abs(jnp.mean(best(prepare(ROWS[4:6]))))
    assert abs(float(jf.fold(missed, ROWS) - by_hand)) < 1e-6


if __name__ == "__main__":
    main()
