"""Pipe, compose, juxt, partial, lift, identity: values that compose and do not retrace."""

import functools
import operator
import pickle
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jfoundations as jf
from jfoundations.testing import checks


def center(x):
    return x - jnp.mean(x)


def scale(x, by=2.0):
    return x * by


def total(x):
    return jnp.sum(x)


def multiply(factor, x):
    return factor * x


def trained(weights):
    return lambda x: weights["w"] * x + weights["b"]


class Affine:
    def __init__(self, k):
        self.k = k

    def __call__(self, x):
        return self.k * x


THREE = jf.Pipe(center, scale=scale, sum=total)
X = jnp.array([1.0, 2.0, 6.0])


def test_names_and_repr():
    assert THREE.names == ("center", "scale", "sum")
    assert repr(THREE) == "center >> scale >> sum"
    assert repr(jf.Pipe()) == "Pipe()"
    assert jf.Pipe(lambda x: x, Affine(2), functools.partial(scale, by=3.0), jnp.tanh).names == (
        "lambda",
        "Affine",
        "scale",
        "tanh",
    )
    assert repr(jf.juxt(center, total)) == "juxt(center, total)"
    assert repr(jf.partial(multiply, 2.0)) == "partial(multiply, 2.0)"
    assert jf.Pipe(first=jf.Pipe(center, total)).names == ("first",)


def test_container():
    assert len(THREE) == 3 and len(jf.Pipe()) == 0
    assert list(THREE) == [center, scale, total]
    assert list(iter(jf.Pipe())) == []
    assert THREE[1] is scale and THREE["scale"] is scale and THREE[-1] is total
    assert isinstance(THREE[:2], jf.Pipe) and THREE[:2].names == ("center", "scale")
    assert THREE[:1] >> THREE[1:] == THREE
    assert THREE[::-1].names == ("sum", "scale", "center")
    assert bool(jf.Pipe()) is True
    assert center in list(THREE)


def test_wrong_keys_say_what_there_is():
    with pytest.raises(KeyError, match="no stage named 'scal' in the pipe center >> scale >> sum"):
        THREE["scal"]
    with pytest.raises(KeyError, match="2 stages named 'center'.*use an index"):
        (THREE >> center)["center"]
    with pytest.raises(IndexError):
        THREE[3]


def test_bad_stages_say_which():
    with pytest.raises(TypeError, match="stage 2 is 3, which is not callable"):
        jf.Pipe(center, 3)
    with pytest.raises(TypeError, match="stage 'scale' is None"):
        jf.Pipe(scale=None)
    with pytest.raises(TypeError, match="juxt: its function 1 is 'a'"):
        jf.juxt("a")
    with pytest.raises(TypeError, match="partial: 3 is not callable"):
        jf.partial(3)
    with pytest.raises(TypeError, match="unsupported operand"):
        THREE >> 3


def test_joining_flattens_and_forgets_brackets():
    p, q, r = jf.Pipe(a=center), jf.Pipe(b=scale), jf.Pipe(c=total)
    assert (p >> q) >> r == p >> (q >> r) == jf.Pipe(p, q, r) == jf.Pipe(a=center, b=scale, c=total)
    assert center >> q == jf.Pipe(center, b=scale)
    assert jf.Pipe() >> p == p == p >> jf.Pipe()
    assert jf.compose(total, scale, center) == jf.Pipe(center, scale, total)
    assert jf.compose() == jf.Pipe()


def test_values_on_the_left():
    expected = THREE(X)
    assert X >> THREE == expected
    assert np.asarray(X) >> THREE == expected
    assert isinstance(np.asarray(X) >> THREE, jax.Array)
    assert isinstance(np.float32(2.0) >> jf.Pipe(scale), float | np.floating | jax.Array)
    assert 3.0 >> jf.Pipe(scale) == 6.0
    assert {"a": 1} >> jf.Pipe(len) == 1


def test_equality_and_hash():
    again = jf.Pipe(center, scale=scale, sum=total)
    assert THREE == again and hash(THREE) == hash(again) and len({THREE, again}) == 1
    assert THREE != jf.Pipe(center, size=scale, sum=total)
    assert THREE != jf.Pipe(center, scale=scale) and THREE != "center >> scale >> sum"
    one, two = (jf.Pipe(jf.partial(multiply, jnp.float32(k))) for k in (1, 2))
    assert one == jf.Pipe(jf.partial(multiply, jnp.float32(1))) and one != two
    assert jf.partial(multiply, 1) != jf.partial(multiply, True)
    assert jf.partial(multiply, jnp.int32(1)) != jf.partial(multiply, jnp.float32(1))


def test_frozen():
    with pytest.raises(AttributeError):
        THREE.names = ()
    with pytest.raises(TypeError):
        THREE[0] = center


@pytest.mark.parametrize(
    "value",
    [
        THREE,
        jf.Pipe(),
        jf.compose(center),
        jf.juxt(center, total),
        jf.partial(multiply, 2.0),
        jf.lift(trained({"w": 2.0, "b": 1.0})),
        jf.identity,
    ],
    ids=lambda v: getattr(v, "__name__", None) or repr(v),
)
def test_every_callable_is_a_good_citizen(value):
    assert weakref.ref(value)() is value
    assert value == value and hash(value) == hash(value)
    jax.jit(value)  # jit keeps a weak reference
    leaves, structure = jax.tree.flatten(value)
    rebuilt = jax.tree.unflatten(structure, leaves)
    assert rebuilt == value


def test_pickle():
    assert pickle.loads(pickle.dumps(THREE))(X) == THREE(X)


def test_identity_juxt_partial():
    assert jf.identity(X) is X
    assert jf.juxt(jnp.min, jnp.max)(X) == (1.0, 6.0)
    assert jf.juxt()(X) == ()
    p = jf.partial(jf.partial(scale, by=3.0), by=4.0)
    assert p.func is scale and p.keywords == {"by": 4.0} and p(2.0) == 8.0
    assert jf.partial(functools.partial(multiply, 3), 5)() == 15
    assert jf.partial(jax.tree_util.Partial(multiply, 3), 5)() == 15
    assert jf.partial(pow, 2).args == (2,)


def test_stages_are_named_in_the_graph():
    text = jax.jit(THREE).lower(X).as_text(debug_info=True)
    for name in ("center", "scale", "sum"):
        assert f"/{name}/" in text


def test_an_error_names_stage_pipe_and_input():
    p = jf.Pipe(center=center, solve=lambda x: x @ jnp.ones((4, 4)))
    with pytest.raises(TypeError) as caught:
        p(X)
    (note,) = (note for note in caught.value.__notes__ if note.startswith("in stage"))
    dtype = X.dtype
    assert note == f"in stage 2 of 2, 'solve', of the pipe center >> solve, on {dtype}[3]"


def test_an_error_in_a_pipe_of_pipes_names_both():
    def fails(x):
        raise ValueError("no")

    outer = jf.Pipe(inner=jf.Pipe(fails), after=total)
    with pytest.raises(ValueError, match="no") as caught:
        outer({"a": X, "b": [np.int32(1)]})
    first, second = caught.value.__notes__
    assert first.startswith("in stage 1 of 1, 'fails', of the pipe fails, on {'a': float")
    assert "of the pipe inner >> after" in second
    with pytest.raises(ValueError, match="no"):
        jax.jit(outer)(X)


FORMS = {  # a builder of the callable form: how often it traces when built three times
    "pipe of functions": (lambda: jf.Pipe(center, s=scale), 1),
    "pipe of partials": (lambda: jf.Pipe(s=jf.partial(multiply, jnp.asarray(2.0))), 1),
    "nested pipe": (lambda: jf.Pipe(inner=jf.Pipe(center), outer=scale), 1),
    "joined pipe": (lambda: center >> jf.Pipe(scale) >> total, 1),
    "empty pipe": (lambda: jf.Pipe(), 1),
    "compose": (lambda: jf.compose(scale, center), 1),
    "juxt": (lambda: jf.juxt(center, jf.partial(multiply, 2.0)), 1),
    "partial, array": (lambda: jf.partial(multiply, jnp.arange(3.0)), 1),
    "partial, static int": (lambda: jf.partial(multiply, 2), 1),
    "partial of a pipe": (lambda: jf.partial(jf.Pipe(center)), 1),
    "lifted closure": (lambda: jf.lift(trained({"w": jnp.asarray(2.0), "b": 1.0})), 1),
    "lifted closure of closure": (lambda: jf.lift(_twice(trained({"w": 2.0, "b": 1.0}))), 1),
    "lifted function": (lambda: jf.lift(center), 1),
    "fresh lambda": (lambda: jf.Pipe(lambda x: x), 3),
    "fresh object": (lambda: jf.Pipe(Affine(2)), 3),
}


def _twice(f):
    return lambda x: f(f(x))


@pytest.mark.parametrize("form", FORMS)
def test_rebuilt_equal_callables_do_not_retrace(form):
    build, traces = FORMS[form]
    with checks.assert_traces(traces) as counted:
        run = jax.jit(counted(lambda f, x: jf.partial(f)(x)))
        for _ in range(3):
            run(jf.partial(build()), X)


def test_new_array_leaves_do_not_retrace_and_new_statics_do():
    with checks.assert_traces(1) as counted:
        run = jax.jit(counted(lambda f, x: f(x)))
        for k in range(3):
            step = jf.Pipe(
                m=jf.partial(multiply, float(k)), l=jf.lift(trained({"w": 1.0 * k, "b": 1.0}))
            )
            assert float(run(step, 2.0)) == k * 2.0 * k + 1
    with checks.assert_traces(2) as counted:
        run = jax.jit(counted(lambda f, x: f(x)))
        run(jf.partial(multiply, 2), X), run(jf.partial(multiply, 3), X)


@pytest.mark.parametrize(
    "build",
    [
        lambda w: jf.Pipe(center, m=jf.partial(multiply, w)),
        lambda w: jf.partial(multiply, w),
        lambda w: jf.lift(lambda x: w * x),
        lambda w: jf.Pipe(inner=jf.Pipe(jf.lift(lambda x: w * x)), s=scale),
        lambda w: jf.juxt(jf.partial(multiply, w), total),
    ],
    ids=["pipe", "partial", "lift", "nested", "juxt"],
)
def test_grad_and_vmap_through_leaves(build):
    def loss(f, x):
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(f(x)))

    (slope,) = jax.tree.leaves(jax.grad(loss)(build(jnp.asarray(1.5)), X))
    near = loss(build(jnp.asarray(1.75)), X) - loss(build(jnp.asarray(1.25)), X)
    assert slope == pytest.approx(float(near) / 0.5, rel=1e-5)

    many = build(jnp.arange(3.0))
    together = jax.vmap(loss, in_axes=(0, None))(many, X)
    for k in range(3):
        assert together[k] == pytest.approx(float(loss(build(jnp.asarray(float(k))), X)), rel=1e-6)


def test_lift_parts_leaves_from_structure():
    def make(n, name, on, array, table):
        return lambda x, scale=2.0, *, shift=1.0: (n, name, on, array * x * scale + shift, table)

    lifted = jf.lift(make(3, "a", True, jnp.ones(2), {"k": np.ones(1)}))
    assert len(jax.tree.leaves(lifted)) == 4  # two arrays, a default and a keyword default
    n, name, on, value, table = lifted(2.0)
    assert (n, name, on) == (3, "a", True) and np.all(value == 5.0) and table["k"] == 1
    assert lifted(1.0, 1.0, shift=0.0)[3][0] == 1.0
    assert jf.lift(THREE) is THREE
    assert jf.lift(jnp.tanh)(0.0) == 0.0
    assert jax.tree.leaves(jf.lift(center)) == []


def test_lift_refuses_recursion():
    def outer():
        def count_down(n):
            return 0 if n == 0 else count_down(n - 1)

        return count_down

    with pytest.raises(ValueError, match="count_down closes over itself"):
        jf.lift(outer())

    def mutual():
        def even(n):
            return n == 0 or odd(n - 1)

        def odd(n):
            return n != 0 and even(n - 1)

        return even

    with pytest.raises(ValueError, match="closes over itself"):
        jf.lift(mutual())


def test_lift_refuses_a_name_without_a_value():
    def early():
        lifted = lambda: later  # noqa: E731
        found = jf.lift(lifted)
        later = 1
        return found, later

    with pytest.raises(ValueError, match="closes over a name that has no value yet"):
        early()


def test_itemgetter_and_builtins_as_stages():
    assert jf.Pipe(operator.itemgetter(1), abs)((1, -2)) == 2
    run = jax.jit(lambda p, x: p(x))
    assert run(jf.Pipe(get=operator.itemgetter(1)), (1, -2)) == -2


def test_one_example_of_every_transform():
    value, slope = jax.value_and_grad(THREE)(X)
    assert abs(float(value)) < 1e-5 and slope.shape == (3,)
    checks.assert_jit_invariant(THREE[:2], X)
    checks.assert_vmap_invariant(THREE[:2], jnp.stack([X, 2 * X]))
