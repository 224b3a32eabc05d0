"""NIST's reference data sets of linear regression, and least squares in rational arithmetic.

Longley and Norris are given by their figures, Wampler's five by their formulas. Of each there are
the certified coefficients, the intercept first, their standard errors, r² and the residual standard
deviation: https://www.itl.nist.gov/div898/strd/lls/lls.shtml.
"""

from fractions import Fraction
from math import sqrt

import numpy as np

_LONGLEY = """
60323 83.0 234289 2356 1590 107608 1947 61122 88.5 259426 2325 1456 108632 1948
60171 88.2 258054 3682 1616 109773 1949 61187 89.5 284599 3351 1650 110929 1950
63221 96.2 328975 2099 3099 112075 1951 63639 98.1 346999 1932 3594 113270 1952
64989 99.0 365385 1870 3547 115094 1953 63761 100.0 363112 3578 3350 116219 1954
66019 101.2 397469 2904 3048 117388 1955 67857 104.6 419180 2822 2857 118734 1956
68169 108.4 442769 2936 2798 120445 1957 66513 110.8 444546 4681 2637 121950 1958
68655 112.6 482704 3813 2552 123366 1959 69564 114.2 502601 3931 2514 125368 1960
69331 115.7 518173 4806 2572 127852 1961 70551 116.9 554894 4007 2827 130081 1962
"""
_NORRIS = """
0.1 0.2 338.8 337.4 118.1 118.2 888.0 884.6 9.2 10.1 228.1 226.5 668.5 666.3 998.5 996.3
449.1 448.6 778.9 777.0 559.2 558.2 0.3 0.4 0.1 0.6 778.1 775.5 668.8 666.9 339.3 338.0
448.9 447.5 10.8 11.6 557.7 556.0 228.3 228.1 998.0 995.8 888.8 887.6 119.6 120.2 0.3 0.3
0.6 0.3 557.6 556.8 339.3 339.1 888.0 887.2 998.5 999.0 778.9 779.0 10.2 11.1 117.6 118.3
228.9 229.2 668.4 669.1 449.2 448.9 0.2 0.5
"""
_NOISE = [759, -2048, 2048, -2048, 2523, -2048, 2048, -2048, 1838, -2048]
_NOISE += [2048, *_NOISE[::-1]]


def _table(text, columns):
    rows = np.array(text.split(), float).reshape(-1, columns)
    return rows[:, 1:], rows[:, 0]


def _wampler(base, noise):
    x = range(21)
    powers = [[Fraction(v) ** k for k in range(6)] for v in x]
    y = [sum(p * base**k for k, p in enumerate(row)) for row in powers]
    y = [v + noise * e for v, e in zip(y, _NOISE, strict=True)]
    return np.array(powers, float)[:, 1:], np.array(y, float)


_ONES = [1.0] * 6
_ERRORS = [2152.32624678170, 2363.55173469681, 779.343524331583]
_ERRORS = np.array([*_ERRORS, 101.475507550350, 5.64566512170752, 0.112324854679312])
# name: data; coefficients, errors, r² and deviation
NIST = {
    "Longley": (
        _table(_LONGLEY, 7),
        (
            [-3482258.63459582, 15.0618722713733, -0.358191792925910e-01, -2.02022980381683]
            + [-1.03322686717359, -0.511041056535807e-01, 1829.15146461355],
            [890420.383607373, 84.9149257747669, 0.334910077722432e-01, 0.488399681651699]
            + [0.214274163161675, 0.226073200069370, 455.478499142212],
            0.995479004577296,
            304.854073561965,
        ),
    ),
    "Norris": (
        _table(_NORRIS, 2),
        (
            [-0.262323073774029, 1.00211681802045],
            [0.232818234301152, 0.429796848199937e-03],
            0.999993745883712,
            0.884796396144373,
        ),
    ),
    "Wampler1": (_wampler(1, 0), (_ONES, [0.0] * 6, 1.0, 0.0)),
    "Wampler2": (_wampler(Fraction(1, 10), 0), ([0.1**k for k in range(6)], [0.0] * 6, 1.0, 0.0)),
    "Wampler3": (_wampler(1, 1), (_ONES, _ERRORS, 0.999995559025820, 2360.14502379268)),
    "Wampler4": (_wampler(1, 100), (_ONES, 100 * _ERRORS, 0.957478440825662, 236014.502379268)),
    "Wampler5": (
        _wampler(1, 10000),
        (_ONES, 1e4 * _ERRORS, 0.224668921574940e-02, 23601450.2379268),
    ),
}


def least_squares(x, y, intercept=True):
    """Return coefficients, errors, r² and deviation of float data, each rounded once or twice."""
    rows = [[Fraction(1)] * intercept + [Fraction(float(v)) for v in row] for row in x]
    y = [Fraction(float(v)) for v in y]
    n, p = len(rows), len(rows[0])
    # Gauss and Jordan: normal equations, beside them the unit matrix and the right side
    table = [
        [sum(r[i] * r[j] for r in rows) for j in range(p)]
        + [Fraction(i == j) for j in range(p)]
        + [sum(r[i] * v for r, v in zip(rows, y, strict=True))]
        for i in range(p)
    ]
    for k in range(p):
        table[k] = [v / table[k][k] for v in table[k]]
        for i in set(range(p)) - {k}:
            by = table[i][k]
            table[i] = [a - by * b for a, b in zip(table[i], table[k], strict=True)]
    b = [row[-1] for row in table]
    rest = sum(
        (v - sum(c * w for c, w in zip(b, r, strict=True))) ** 2
        for r, v in zip(rows, y, strict=True)
    )
    center = sum(y) / n if intercept else 0
    whole = sum((v - center) ** 2 for v in y)
    square = rest / (n - p)
    errors = [sqrt(square * table[i][p + i]) for i in range(p)]
    return [float(v) for v in b], errors, float(1 - rest / whole), sqrt(square)
