"""Programs with options of their own."""

import jax
import pytest
from jax import numpy as jnp

from lerax import tree


@pytest.fixture
def refused(monkeypatch):
    """A program whose option XLA does not know: it can only be compiled where it is not asked for."""
    monkeypatch.setattr(tree, "LEVEL", "no_such_option")
    return tree.compiled(lambda x: x * x)


def test_the_option_is_asked_for(refused):
    with pytest.raises(Exception, match="no_such_option"):
        refused(jnp.array(3.0))


def test_inside_a_callers_transformation_it_is_not(refused):
    assert jax.jit(refused)(3.0) == 9.0
    assert jax.vmap(refused)(jnp.array([3.0])) == 9.0
    assert jax.grad(refused)(3.0) == 6.0
    assert jax.eval_shape(refused, 3.0).shape == ()


def test_a_level_of_the_users_wins(refused, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--no_such_option=3")
    assert refused(jnp.array(3.0)) == 9.0


def test_arrays_are_given_away_where_it_is_said():
    kept, given = jnp.ones(3), jnp.ones(3)
    tree.compiled(lambda kept, given: kept + given, donate="all-except-first")(kept, given)
    assert given.is_deleted() and not kept.is_deleted()
