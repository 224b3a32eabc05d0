"""Reversible, juxt, compose, and a pipe turned around."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import raises

import jfoundations as jf
from jfoundations.testing import checks


def double(x):
    return 2 * x


def half(x):
    return x / 2


def shift(by, x):
    return x + by


def total(x):
    return jnp.sum(x)


TWICE = jf.Reversible(double, half)
BOTH = jf.Pipe(twice=TWICE, shift=jf.Reversible(jf.partial(shift, 3.0), jf.partial(shift, -3.0)))
X = jnp.array([1.0, 2.0, 6.0])


def test_a_reversible_is_its_forward():
    assert TWICE(3) == 6 and TWICE.inverse(6) == 3 and TWICE.forward is double
    assert repr(TWICE) == "Reversible(double, half)"
    assert repr(TWICE.inverse) == "Reversible(half, double)"
    assert jf.Pipe(TWICE).names == ("double",)
    assert TWICE == jf.Reversible(double, half) != jf.Reversible(half, double)
    assert pickle.loads(pickle.dumps(TWICE))(3) == 6
    rebuilt = jax.tree.unflatten(*jax.tree.flatten(BOTH)[::-1])
    assert rebuilt == BOTH and hash(rebuilt) == hash(BOTH)


def test_a_pipe_turned_around_undoes_it():
    assert repr(BOTH.inverse) == "shift_inverse(by=-3) >> twice_inverse"
    assert BOTH.inverse(BOTH(X)).tolist() == X.tolist()
    assert BOTH.inverse.inverse == BOTH and BOTH.inverse != BOTH
    assert jf.Pipe().inverse == jf.Pipe()
    named = jf.Pipe(a_inverse=TWICE)
    assert named.inverse.names == ("a",) and named.inverse.inverse == named
    p, q = BOTH[:1], BOTH[1:]
    assert (p >> q).inverse == q.inverse >> p.inverse


def test_pipes_and_identity_are_reversible_stages():
    outer = jf.Pipe(inner=BOTH, same=jf.identity)
    assert outer.inverse.names == ("same_inverse", "inner_inverse")
    assert outer.inverse(outer(X)).tolist() == X.tolist()
    assert outer.inverse.inverse == outer


class Bijector:
    """As distrax and others have them: `inverse` is a method."""

    def __call__(self, x):
        return x + 1

    def inverse(self, y):
        return y - 1


def test_an_object_with_a_method_inverse_is_one_too():
    assert jf.Pipe(Bijector()).inverse(3) == 2


def test_what_cannot_be_turned_around_says_which_stage():
    with raises(TypeError, "twice >> total has no inverse", "'total' is not", "Reversible(total,"):
        (BOTH[:1] >> total).inverse  # noqa: B018
    with pytest.raises(TypeError, match="'total' is not reversible") as caught:
        jf.Pipe(TWICE, inner=jf.Pipe(total)).inverse  # noqa: B018
    assert caught.value.__notes__ == ["in the stage 'inner' of the pipe double >> inner"]
    with raises(TypeError, "Reversible: its inverse is None, which is not callable"):
        jf.Reversible(double, None)


def test_a_pipe_turned_around_is_a_value():
    with checks.assert_traces(2) as counted:
        run = jax.jit(counted(lambda p, x: p(x)))
        for by in (1.0, 2.0):
            p = jf.Pipe(jf.Reversible(jf.partial(shift, by), jf.partial(shift, -by)))
            assert run(p.inverse, run(p, X)).tolist() == X.tolist()
    slope = jax.grad(lambda p: jnp.sum(p.inverse(X)))(BOTH)
    assert jax.tree.leaves(slope) == [0.0, 1.5]
    text = jax.jit(BOTH.inverse).lower(X).as_text(debug_info=True)
    assert "/shift_inverse/" in text and "/twice_inverse/" in text


def test_juxt_is_a_container_of_its_functions():
    both = jf.juxt(jnp.min, jnp.max)
    assert len(both) == 2 and list(both) == [jnp.min, jnp.max] and both[1] is jnp.max
    assert jf.juxt(*both) == both and bool(jf.juxt())
    assert jnp.max in both and jnp.sum not in both
    many = jf.juxt(*[double] * 5)
    assert many(1) == (2,) * 5


def test_compose_is_a_pipe_from_the_right():
    assert jf.compose(half, double, jf.partial(shift, 1.0))(1.0) == 2.0
    assert jf.compose(jf.compose(half, double), total) == jf.compose(
        half, jf.compose(double, total)
    )
    assert jf.compose() == jf.Pipe() and jf.compose(jf.Pipe(double), half) == jf.Pipe(half, double)


def test_what_is_in_a_pipe():
    assert double in jf.Pipe(double) and half not in jf.Pipe(double)
    assert "twice" in BOTH and "double" not in BOTH and TWICE in BOTH
    assert X not in BOTH and 3 not in BOTH
    assert list(reversed(BOTH)) == list(BOTH)[::-1]


@pytest.mark.parametrize("x", [np.arange(3.0), np.float32(2), jnp.arange(3.0), 2.0])
def test_values_on_the_left_of_a_pipe_turned_around(x):
    assert np.array_equal(x >> BOTH >> BOTH.inverse, x)
