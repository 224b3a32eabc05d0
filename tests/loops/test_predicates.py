"""Stop predicates: their algebra, what it says in each step, names, memories and refusals."""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import DRIVERS, assert_same, lane
from hypothesis import given, settings
from hypothesis import strategies as st

import jfoundations as jf

jc = jf.callbacks
N = 8
flags = st.lists(st.booleans(), min_size=N, max_size=N)
every_driver = pytest.mark.parametrize("driver", DRIVERS)


def inc(x):
    return x + 1


def given_by(name, row):
    """Return a stop predicate that holds at the steps where a row of booleans does."""
    return jf.stop_when(jf.partial(lambda row, x, *, step: row[step], row), name=name)


def steps_of(*callbacks, driver="while", start=0, max_steps=N):
    return int(jf.iterate(inc, start, *callbacks, max_steps=max_steps, driver=driver).steps)


# What an expression says

EXPRESSIONS = {
    "a": lambda a, b, c: a,
    "~a": lambda a, b, c: ~a,
    "a | b": lambda a, b, c: a | b,
    "a & b": lambda a, b, c: a & b,
    "a & b & c": lambda a, b, c: a & b & c,
    "a & b | c": lambda a, b, c: a & b | c,
    "a & (b | c)": lambda a, b, c: a & (b | c),
    "~(a & ~b) | a & c": lambda a, b, c: ~(a & ~b) | a & c,
    "~~a & b": lambda a, b, c: ~~a & b,
}


@jax.jit
def all_expressions(a, b, c):
    parts = [given_by(name, row) for name, row in zip("abc", (a, b, c), strict=True)]
    return {
        text: jf.iterate(inc, np.int32(0), make(*parts), max_steps=N)
        for text, make in EXPRESSIONS.items()
    }


@settings(max_examples=150, deadline=None)
@given(flags, flags, flags)
def test_an_expression_stops_where_it_first_holds(a, b, c):
    found = all_expressions(*map(jnp.array, (a, b, c)))
    for text, make in EXPRESSIONS.items():
        holds = make(*map(np.array, (a, b, c)))
        first = int(np.argmax(holds)) + 1 if holds.any() else N
        assert int(found[text].steps) == first
        assert found[text].reasons == ((text,) if holds.any() else ("max_steps",))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(flags, flags, flags), min_size=3, max_size=3))
def test_lanes_of_an_expression_are_runs(rows):
    a, b, c = (jnp.array(x) for x in zip(*rows, strict=True))
    lanes = jax.vmap(all_expressions)(a, b, c)
    for k, row in enumerate(rows):
        assert_same(lane(lanes, k), all_expressions(*map(jnp.array, row)))


def test_brackets_of_one_operator_leave_no_trace():
    a, b, c = (given_by(name, jnp.zeros(N, bool)) for name in "abc")
    for op in (operator.or_, operator.and_):
        left, right = op(op(a, b), c), op(a, op(b, c))
        assert left == right and left.name == right.name
        assert jax.tree.structure(left) == jax.tree.structure(right)
    assert (a | b) != (a & b) and (a | b) != (b | a)


# Members


@every_driver
def test_both_sides_are_heard_in_every_step(driver):
    """Not short-circuited: the patience below counts also while the other side does not ask."""
    rested = jc.early_stopping(lambda x: 0 * x, patience=2)
    late = jc.after(5, lambda x: (x, True))
    whole = rested & late & jc.history()
    result = jf.iterate(inc, 0, jf.chain(rested & late), max_steps=9, driver=driver)
    assert int(result.steps) == 6
    assert int(result.memory["early_stopping & lambda"]["early_stopping"]["wait"]) == 5
    recorded = jf.iterate(inc, 0, whole, max_steps=4, driver=driver).memory[whole.name]
    assert recorded["history"].values.tolist() == [1, 2, 3, 4]


@every_driver
def test_members_change_the_state_in_their_order(driver):
    double, add = (lambda x: (2 * x, x > 20)), (lambda x: (x + 3, False))
    joined = jf.stop_when(lambda x: x > 20, name="high") & double | add
    state = int(jf.iterate(inc, 0, joined, max_steps=9, driver=driver).state)
    x = 0
    for _ in range(9):
        x += 1
        stop = x > 20
        x = 2 * x + 3
        if stop:
            break
    assert state == x


@every_driver
def test_members_may_ask_at_different_places_of_a_step(driver):
    class Before:
        def before_step(self, x):
            return x, x % 3 == 2

    class Stage:
        def after_twice(self, x):
            return x, x > 12

    pipe = jf.Pipe(twice=lambda x: 2 * x, half=lambda x: x // 2 + 1)
    high = jf.stop_when(lambda x: x > 4, name="high")
    both = jf.iterate(pipe, 0, high & Before(), max_steps=20, driver=driver)
    assert (int(both.state), both.reasons) == (6, ("high & Before",))  # 5 went in, 6 came out
    three = jf.iterate(pipe, 0, Stage() & (high & Before()), max_steps=20, driver=driver)
    assert int(three.state) == 9  # 8 went in, 16 was between
    neither = jf.iterate(pipe, 2, ~(high | Before()), max_steps=20, driver=driver)
    assert int(neither.state) == 4  # 2 asked before its step; 3 did not
    assert int(jf.iterate(pipe, 0, Before() | high, max_steps=20, driver=driver).state) == 3


@every_driver
def test_an_ask_does_not_outlive_its_step(driver):
    class Third:
        def before_step(self, x, step):
            return x, step == 2

    fifth = jf.stop_when(lambda x: x == 5, name="fifth")
    assert steps_of(fifth & Third(), driver=driver) == N
    assert steps_of(~jf.every(1, Third()), driver=driver) == 1


@every_driver
def test_before_the_run(driver):
    class Start:
        def __init__(self, limit):
            self.limit = limit

        def before_run(self, x):
            return x, x > self.limit

    high = jf.stop_when(lambda x: x > 103, name="high")
    run = lambda stop: steps_of(stop, driver=driver, start=100)  # noqa: E731
    assert run(high | Start(99)) == 0  # as in a chain
    assert run(high & Start(99)) == N  # only one of them asks there
    assert run(jf.stop_when(lambda x: x > 103) & high) == 4
    assert run(~high & ~jf.every(1, Start(0))) == 1  # `~` asks nothing before the run


def test_a_member_that_never_stops():
    always = jf.stop_when(lambda x: x >= 3, name="three")
    assert steps_of(always | jf.proceed) == 3
    assert steps_of(always & jf.proceed) == N
    assert steps_of(~jf.when(lambda x: True, jf.proceed)) == 1
    assert steps_of(always | jf.chain(jf.proceed, lambda x: (x, x >= 2))) == 2
    text = jax.jit(
        lambda x: jf.iterate(inc, x, jf.every(2, jc.best(jnp.abs)) & jf.proceed, max_steps=N)
    )
    assert text.lower(0).as_text().count("stablehlo.while") == 1


def test_members_of_every_kind_stand_on_either_side():
    class Object:
        def after_step(self, x):
            return x, x >= 4

    def function(x):
        return x, x >= 2

    mine = jf.Callback(
        lambda x: jnp.zeros((), np.int32), name="mine", after_step=lambda n, x: (n + 1, x, n >= 4)
    )
    high = jf.stop_when(lambda x: x >= 3, name="high")
    cases = [(high & Object(), 4), (Object() & high, 4), (function & high, 3), (high & mine, 5)]
    for stop, steps in [*cases, (mine | high, 3), (function | high, 2), (high & jf.chain(mine), 5)]:
        assert steps_of(stop) == steps
    assert (mine | high).name == "mine | high" and (function & high).name == "function & high"


def test_names_say_what_it_is_and_memories_are_their_own():
    low, rested = jf.stop_when(lambda x: x < 0, name="low"), jc.early_stopping(jnp.abs, patience=3)
    again = jc.early_stopping(lambda x: -x, patience=2)
    joined = ~(low | rested) & again | rested | again
    assert (
        joined.name == "~(low | early_stopping) & early_stopping | early_stopping | early_stopping"
    )
    assert repr(low & rested) == "Callback(low & early_stopping: after_step)"
    both = rested | again
    memory = jf.iterate(inc, 0, both, max_steps=2).memory[both.name]
    assert set(memory) == {"early_stopping", "early_stopping_2"}
    assert int(memory["early_stopping"]["wait"]) == 1
    assert float(memory["early_stopping_2"]["best"]) == -2


def test_an_expression_is_a_pytree_with_its_members_settings_as_leaves():
    make = lambda p, n: jc.early_stopping(jnp.abs, patience=p) & jc.after(n, ASK)  # noqa: E731
    assert [int(leaf) for leaf in jax.tree.leaves(make(3, 5))] == [3, 0, 5]
    assert make(3, 5) == make(3, 5) != make(3, 6)
    assert jax.tree.map(lambda leaf: leaf, make(3, 5)) == make(3, 5)
    traces = []

    @jax.jit
    def run(stop):
        traces.append(1)
        return jf.iterate(inc, 0, stop, max_steps=20).steps

    pairs = [(1, 7), (4, 2), (9, 9)]
    assert [int(run(make(*pair))) for pair in pairs] == [8, 5, 10] and len(traces) == 1
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(make(*pair) for pair in pairs))
    assert jax.vmap(run)(batch).tolist() == [8, 5, 10]


def ASK(x):  # noqa: N802
    return x, True


def test_a_stop_predicate_is_no_bool():
    a, b = jf.stop_when(lambda x: x > 1, name="a"), jc.converged()
    for use in (lambda: a or b, lambda: a and b, lambda: not (a & b), lambda: b if a else a):
        with pytest.raises(TypeError, match="is no bool; join stop predicates by .* & ~ and not"):
            use()
    with pytest.raises(TypeError, match="unsupported operand"):
        jc.history() | jc.best(jnp.abs)  # nothing here stops


@pytest.mark.parametrize("other", [True, 3, "text", jnp.ones(2)])
def test_operands_must_be_callbacks(other):
    with pytest.raises(TypeError, match="is no callback; give a function"):
        jc.converged() & other


def test_a_predicate_in_the_place_of_a_callback_is_explained():
    stop = jf.stop_when(lambda x: x > 1, name="a") & (lambda x: x > 3)
    with pytest.raises(TypeError, match=r"a callback returns \(state, stop\)"):
        steps_of(stop)


# after, once, every


@every_driver
@pytest.mark.parametrize("n", [1, 3, 8])
def test_after_and_every_and_once_part_the_steps(n, driver):
    def heard(gate):
        result = jf.iterate(inc, 0, gate(n, jc.history()), max_steps=N, driver=driver)
        return result.memory["history"].values.tolist()

    assert heard(jc.after) == list(range(n + 1, N + 1))
    assert heard(jc.once) == [n]
    assert heard(jf.every) == list(range(n, N + 1, n))


def test_after_none_is_always():
    assert steps_of(jc.after(0, ASK)) == 1


def test_warm_up_forgets_or_holds_back():
    """`after` starts the patience late; `&` only holds its stop back."""
    flat = jc.early_stopping(lambda x: 0 * x, patience=2)
    assert steps_of(flat) == 3
    assert steps_of(jc.after(4, flat)) == 7
    assert steps_of(flat & jc.after(4, ASK)) == 5


def test_schedules_are_leaves():
    for gate, heard in ((jc.after, [7, 6, 3]), (jc.once, [1, 1, 1]), (jf.every, [8, 4, 1])):
        run = lambda n, gate=gate: jf.iterate(inc, 0, gate(n, COUNT), max_steps=N).memory["n"]  # noqa: E731
        assert jax.vmap(run)(jnp.array([1, 2, 5], np.int32)).tolist() == heard


COUNT = jf.Callback(lambda x: 0, name="n", after_step=lambda n, x: (n + 1, x, False))


@pytest.mark.parametrize("gate, least", [(jc.after, 0), (jc.once, 1), (jf.every, 1)])
@pytest.mark.parametrize("n", [-1, 2.0, True, "2"])
def test_schedules_refuse_what_is_no_count(gate, least, n):
    with pytest.raises((TypeError, ValueError), match=f"{gate.__name__}: n is"):
        gate(n, COUNT)
    with pytest.raises(ValueError, match="must lie in"):
        gate(least - 1, COUNT)
