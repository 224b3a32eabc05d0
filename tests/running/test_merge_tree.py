"""The tree of memories: any order gives one shape, few are kept, counts do not saturate."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fold_workers import digest, total
from hypothesis import given, settings
from hypothesis import strategies as st

from jfoundations import folds
from jfoundations._kernels.numbers.counts import Count
from jfoundations._running.merge_tree import WIDE, MergeTree

VALUES = np.random.default_rng(3).normal(0.0, 10.0, 700).astype(np.float32)
TOTAL = total()


def merged(a_fold, memories):
    tree = MergeTree.of(a_fold)
    for k, memory in enumerate(memories):
        tree = tree.add(0, k, memory)
    return tree.memory()


def joined(order):
    tree = MergeTree.of(TOTAL)
    for i in order:
        tree = tree.add(0, i, VALUES[i])
    assert len(tree) == len(order) and all(i in tree for i in order)
    return digest(tree.memory())


@settings(deadline=None, max_examples=25)
@given(st.sampled_from([1, 2, 16, 17, 37, 300]), st.randoms(use_true_random=False))
def test_any_order_gives_the_same_bits(count, draw):
    order = list(range(count))
    draw.shuffle(order)
    assert joined(order) == joined(range(count))


def test_the_bits_can_differ():
    added = np.float32(0.0)
    for value in VALUES[:300]:
        added += value
    assert joined(range(300)) != digest(jnp.asarray(added))
    assert joined(range(300)) != joined([*range(299), 299 + 1])


def test_the_tree_is_the_documented_one():
    leaves = list(VALUES[:37])
    first, second = merged(TOTAL, leaves[:16]), merged(TOTAL, leaves[16:32])
    loose = merged(TOTAL, leaves[32:])
    right = merged(TOTAL, [first, second, loose])
    assert joined(range(37)) == digest(right)


def test_merging_is_from_left_to_right():
    value = VALUES[0]
    for other in VALUES[1:16]:
        value += other
    assert digest(merged(TOTAL, list(VALUES[:16]))) == digest(jnp.asarray(value))


def test_few_memories_are_kept_in_order():
    tree, most = MergeTree.of(TOTAL), 0
    for i, value in enumerate(VALUES):
        tree = tree.add(0, i, value)
        most = max(most, len(tree.nodes))
        assert len(tree.nodes) <= (WIDE - 1) * (1 + math.ceil(math.log(i + 1, WIDE)))
        assert (i in tree) and (i + 1 not in tree) and len(tree) == i + 1
    assert most <= 3 * (WIDE - 1) < len(VALUES) / 10


def test_memories_of_another_process_join_where_they_belong():
    """Two runs of chunks, each of complete subtrees and loose ends, are the one run of both."""
    for cut in (1, 16, 20, 33, 299):
        left, right = MergeTree.of(TOTAL), MergeTree.of(TOTAL)
        for i in range(300):
            if i < cut:
                left = left.add(0, i, VALUES[i])
            else:
                right = right.add(0, i, VALUES[i])
        for (height, place), memory in right.nodes.items():
            left = left.add(height, place, memory)
        assert digest(left.memory()) == joined(range(300))


def test_one_program_merges_any_number():
    traced = []
    fold = total()._with(merge=lambda a, b: traced.append(1) or a + b)
    merged(fold, list(VALUES[:2]))
    before = len(traced)
    for k in range(1, 17):
        merged(fold, list(VALUES[:k]))
    assert len(traced) == before


def test_a_merge_that_changes_its_memory_is_named():
    bad = total()._with(merge=lambda a, b: (a + b)[None], name="bad")
    with pytest.raises(TypeError, match="the merge of the fold bad: memory.*shape"):
        merged(bad, list(VALUES[:2]))


def counts_in(memory):
    found = jax.tree.leaves(memory, is_leaf=lambda part: isinstance(part, Count))
    return [int(part) for part in found if isinstance(part, Count)]


COUNTED = {
    "count": (folds.count(), lambda answer: answer),
    "describe": (folds.describe(), lambda answer: answer.count),
}


@pytest.mark.parametrize("name", COUNTED)
def test_counts_beyond_2_to_31_are_exact(name):
    """The memory of 256 chunks of 3, merged with itself again and again; then one element more."""
    fold, count_in = COUNTED[name]
    memory = fold.block(jnp.arange(3.0))
    tree = MergeTree.of(fold)
    for chunk in range(16 * 16):
        tree = tree.add(0, chunk, memory)
    assert list(tree.nodes) == [(2, 0)]
    memory, one = tree.memory(), fold.block(jnp.zeros(1))
    for height in range(3, 9):
        memory, seen = merged(fold, [memory] * 16), 3 * 16**height
        more = merged(fold, [memory, one])
        assert (counts_in(memory), counts_in(more)) == ([seen], [seen + 1])
        if seen < 2**32 or jax.config.jax_enable_x64:  # an answer without x64 is uint32
            assert int(count_in(fold.extract(more))) == seen + 1
    assert seen > 2**33


def test_a_variance_of_more_than_2_to_31_elements():
    fold = folds.var()
    memory = fold.block(jnp.array([1.0, 3.0]))
    for _ in range(8):
        memory = merged(fold, [memory] * 16)
    assert float(fold.extract(memory)) == 1.0
    assert jax.tree.leaves(memory)[0].dtype == jax.tree.leaves(fold.block(jnp.ones(2)))[0].dtype
