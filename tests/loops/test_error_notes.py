"""Exceptions out of a user's function say where they came from; callables with odd leaves."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DRIVERS, raises

import jfoundations as jf

every_driver = pytest.mark.parametrize("driver", DRIVERS)


def second(callback):
    return (jf.callbacks.history(), callback)


def inc(x):
    return x + 1


def notes(info):
    return "\n".join(getattr(info.value, "__notes__", ()))


class Oops(Exception):
    pass


def fail(*args, **kwargs):
    raise Oops("mine")


@every_driver
def test_exceptions_in_callbacks_carry_a_note(driver):
    broken = jf.Callback(name="broken", before_step=fail)
    with pytest.raises(Oops) as info:
        jf.iterate(inc, 0, *second(broken), max_steps=3, driver=driver)
    assert "in callback 2 of 2, broken, before_step" in notes(info)
    with pytest.raises(Oops) as info:
        jf.iterate(inc, 0, jf.Callback(fail, name="broken"), max_steps=3, driver=driver)
    assert "in callback 1 of 1, broken, init" in notes(info)


@every_driver
def test_exceptions_in_stages_carry_a_note(driver):
    pipe = jf.Pipe(halve=lambda x: x / 2, broken=fail)
    with pytest.raises(Oops) as info:
        jf.iterate(pipe, np.float32(1), max_steps=3, driver=driver)
    assert "in stage 2 of 2, 'broken', of the pipe halve >> broken, on float32[]" in notes(info)


@every_driver
def test_other_exceptions_pass_unchanged(driver):
    with pytest.raises(Oops) as info:
        jf.iterate(fail, 0, max_steps=3, driver=driver)
    assert str(info.value) == "mine"


def test_an_error_leaves_nothing_behind():
    fails = [True]

    def sometimes(x):
        if fails[0]:
            raise Oops
        return x + 1

    with pytest.raises(Oops):
        jf.iterate(sometimes, 0, max_steps=3)
    fails[0] = False
    assert int(jf.iterate(sometimes, 0, max_steps=3).state) == 3


# Callables with functions inside


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Layer:
    w: jax.Array
    activation: object  # a function as a leaf, as in many module libraries

    def __call__(self, x):
        return self.activation(self.w * x)


def test_a_step_whose_leaves_hold_functions():
    layer = Layer(jnp.asarray(2.0), jnp.sin)
    with raises(TypeError, "iterate: the step, has the leaf Layer.activation", "partial(Layer."):
        jf.iterate(layer, 1.0, max_steps=2)
    cure = jf.partial(Layer.__call__, layer)
    assert [leaf.shape for leaf in jax.tree.leaves(cure)] == [()]
    for driver in DRIVERS:
        run = lambda x, d=driver: jf.iterate(cure, x, max_steps=2, driver=d).state  # noqa: E731
        assert float(run(1.0)) == pytest.approx(float(layer(layer(1.0))), rel=1e-6)
        if driver != "python":
            assert float(jax.jit(run)(1.0)) == pytest.approx(float(layer(layer(1.0))), rel=1e-6)
