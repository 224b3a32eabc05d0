"""Hypothesis profiles for suites that compile."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings


def register_profiles(*, max_examples: int = 50) -> str:
    """Register and load settings that suit tests of JAX; call it in `conftest.py`.

    "jax" has no deadline and no check of slowness, for the first call of anything compiles.
    "jax-ci" draws the same examples in every run as well, keeps no database, and says how to
    reproduce a failure; it is loaded where the environment has a `CI`. The old settings are back
    after `hypothesis.settings.load_profile("default")`.

    Args:
        max_examples: how many examples a test tries.

    Returns:
        The name of the profile that was loaded.

    >>> before = settings.get_current_profile_name()
    >>> register_profiles() in ("jax", "jax-ci"), settings.default.deadline
    (True, None)
    >>> settings.load_profile(before)
    """
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    here = settings(
        settings.get_profile("default"),
        deadline=None,
        max_examples=max_examples,
        suppress_health_check=slow,
    )
    settings.register_profile("jax", here)
    settings.register_profile("jax-ci", here, derandomize=True, database=None, print_blob=True)
    name = "jax-ci" if os.environ.get("CI") else "jax"
    settings.load_profile(name)
    return name
