"""What laws come together, and how known ones are written down."""

EACH = ("shape", "elementwise", "permutation_equivariant")
LINEAR = ("additive", "linear", "odd", "lipschitz")
LOCATION = ("translation_equivariant", "keeps_constants", "lipschitz")
SPREAD = ("translation_invariant", "zero_of_constants", "even", "permutation_invariant")


def known(*laws, degree=None):
    """Return the names of laws, and the degree of what is homogeneous."""
    names = {name for law in laws for name in ((law,) if isinstance(law, str) else law)}
    return names | ({"homogeneous"} if degree is not None else set()), degree


def both(*laws):
    """Return the names of laws that a function of two arrays keeps in each."""
    return tuple(f"{law} in {word}" for law in laws for word in "xy")
