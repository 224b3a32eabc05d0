"""The forms of fast.ai's lesson on callbacks, in plain Python and inside `jax.jit`, side by side.

A plain callback prints, and changes the object it is handed. A pure one is a function
`state -> (state, stop)`: what it says goes into a log that the state carries, so every form of the
lesson compiles. Each line below shows what the callbacks said, plain and jitted, which must agree.

    python examples/lesson.py

Source: Practical Deep Learning for Coders, 2019, lesson 10, notebook 05a_foundations.
"""

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import jfoundations as jf

EPOCHS = 5


class PlainCalc:
    """The lesson's SlowCalculator, without the sleep: sums squares and calls back."""

    def __init__(self, callback: Any):
        self.res, self.epochs, self.said = 0, 0, []
        before = getattr(callback, "before_calc", None)
        after = getattr(callback, "after_calc", callback if callable(callback) else None)
        for epoch in range(EPOCHS):
            if before:
                before(self, epoch)
            self.res += epoch * epoch
            self.epochs += 1
            if after and after(self, epoch):
                break

    def say(self, *values: int) -> None:
        """Log what the lesson prints."""
        self.said += values


class Calc(NamedTuple):
    """The same as a state: the sum, the log, and how much is in the log."""

    res: Any = 0
    log: Any = jnp.zeros(3 * EPOCHS, jnp.int32)
    count: Any = 0

    def say(self, *values: Any) -> "Calc":
        """Return the state with the values in the log."""
        log = self.log.at[self.count + jnp.arange(len(values))].set(jnp.stack(values))
        return self._replace(log=log, count=self.count + len(values))


def square(calc: Calc, step: Any) -> Calc:
    return calc._replace(res=calc.res + step * step)


def forms() -> dict[str, tuple[Any, Any]]:
    """Return each form twice: as the lesson has it, and pure."""

    def show_progress(calc, epoch):
        calc.say(epoch)

    def pure_show_progress(calc, step):  # `step` is passed because it is named
        return calc.say(step), False

    def make_show_progress(first):
        return lambda calc, epoch: calc.say(first + epoch)

    def make_pure(first):
        return lambda calc, step: (calc.say(first + step), False)

    def show_from(first, calc, epoch):
        calc.say(first + epoch)

    def pure_show_from(first, calc, step):
        return calc.say(first + step), False

    @dataclass(frozen=True)
    class ShowProgress:
        first: int

        def __call__(self, calc, epoch):
            calc.say(self.first + epoch)

    @dataclass(frozen=True)
    class PureShowProgress:
        first: int

        def __call__(self, calc, step):
            return calc.say(self.first + step), False

    class PrintStatus:  # **kwargs: a word added in the future does no harm
        def before_calc(self, calc, epoch, **kwargs):
            calc.say(epoch)

        def after_calc(self, calc, epoch, **kwargs):
            calc.say(epoch, calc.res)

    class PurePrintStatus:
        def before_step(self, calc, *, step, **kwargs):
            return calc.say(step), False

        def after_step(self, calc, *, step, **kwargs):
            return calc.say(step, calc.res), False

    class PrintAfter:  # no before_calc, and none is needed
        def after_calc(self, calc, epoch):
            calc.say(calc.res)
            return calc.res > 10

    class PurePrintAfter:
        def after_step(self, calc):
            return calc.say(calc.res), calc.res > 10

    class Modifying:
        def after_calc(self, calc, epoch):
            calc.say(calc.res)
            if calc.res < 3:
                calc.res = calc.res * 2
            return calc.res > 10

    class PureModifying:
        def after_step(self, calc):
            doubled = jnp.where(calc.res < 3, calc.res * 2, calc.res)
            return calc.say(calc.res)._replace(res=doubled), calc.res > 10

    lambdas = lambda calc, epoch: calc.say(epoch), lambda calc, step: (calc.say(step), False)
    return {
        "function": (show_progress, pure_show_progress),
        "lambda": lambdas,
        "closure": (make_show_progress(1), make_pure(1)),
        "partial": (functools.partial(show_from, 1), jf.partial(pure_show_from, 1)),
        "callable class": (ShowProgress(1), PureShowProgress(1)),
        "before and after": (PrintStatus(), PurePrintStatus()),
        "early stopping": (PrintAfter(), PurePrintAfter()),
        "changing the state": (Modifying(), PureModifying()),
    }


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SloppyAdder:
    """The lesson's number that adds a little more; being a pytree, it is a loop's state too."""

    o: Any

    def __add__(self, b: "SloppyAdder") -> "SloppyAdder":
        return SloppyAdder(self.o + b.o + 0.01)


def mean(x: list[float]) -> float:
    return sum(x) / len(x)


def cov(x: list[float], y: list[float]) -> float:
    """Return E[XY] - E[X]E[Y], as the lesson does: short, but poor where the mean is large."""
    return mean([a * b for a, b in zip(x, y, strict=True)]) - mean(x) * mean(y)


def row(name: str, plain: str, jitted: str) -> None:
    print(f"{name:20}{plain:34}{jitted}")
    assert plain == jitted


def main() -> None:
    print(f"{'what was said':20}{'plain Python':34}jitted")
    run = jax.jit(jf.iterate, static_argnums=(0, 2), static_argnames="max_steps")
    for name, (callback, pure) in forms().items():
        plain = PlainCalc(callback)
        result = run(square, Calc(), pure, max_steps=EPOCHS)
        said = result.state.log[: result.state.count]
        row(name, " ".join(map(str, plain.said)), " ".join(map(str, said)))
        assert (plain.res, plain.epochs) == (result.state.res, result.steps)

    print("\nwhat came out")
    a, b = SloppyAdder(1), SloppyAdder(2)
    result = run(lambda a: a + b, a, max_steps=3)
    row("1 + 2 + 2 + 2", f"{(a + b + b + b).o:.4f}", f"{result.state.o:.4f}")
    t, v = [1.0, 2.0, 4.0, 18.0], [2.0, 1.0, 9.0, 30.0]
    deviations = [abs(x - mean(t)) for x in t]
    for name, of, plain in (
        ("mean", (t,), mean(t)),
        ("var", (t,), cov(t, t)),
        ("std", (t,), cov(t, t) ** 0.5),
        ("mean_abs_dev", (t,), mean(deviations)),
        ("cov", (t, v), cov(t, v)),
        ("corr", (t, v), cov(t, v) / cov(t, t) ** 0.5 / cov(v, v) ** 0.5),
    ):
        jitted = jax.jit(getattr(jf.stats, name))(*map(jnp.array, of))
        row(name, f"{plain:.4f}", f"{jitted:.4f}")


if __name__ == "__main__":
    main()
