"""Operators: every dunder method that a noun has, whence it is known, and the law it keeps.

Here f, g are functions, p, q pipes, j a juxt, h a partial, v a Reversible, t a transducer,
c, d callbacks, s, u stop predicates, m, n folds; x is a number, array one of NumPy, ask(m) the
answer of a fold to data, stop(s) the step at which a predicate stops a loop; raises(call, text) and
frozen(value, field) tell whether an error comes, rebuilt(c) is c flattened and put together again,
copied(m) a copy.
Each law is tested as it stands here.

Nothing changes in place: no noun has a method like `__iadd__`, so that `p >>= q` binds the name p
to a new pipe and leaves the old one alone; and what is set cannot be set again.

==============  ==========================  =================  =====================================
noun            dunder                      known from         law
==============  ==========================  =================  =====================================
Pipe            __call__                    toolz.compose      Pipe(f, g)(x) == g(f(x))
Pipe            __rshift__                  F#, Elm            (p >> q)(x) == q(p(x))
Pipe            __rrshift__                 toolz.pipe         x >> p == p(x)
Pipe            __array_ufunc__             numpy              same(array >> p, p(array))
Pipe            __len__ __iter__            sklearn Pipeline   list(p >> q) == [*p, *q]
Pipe            __getitem__                 sklearn Pipeline   p[:1] >> p[1:] == p
Pipe            __contains__                dict, list         f in Pipe(a=f) and 'a' in Pipe(a=f)
Pipe            __bool__                    functions          bool(Pipe()) and len(Pipe()) == 0
Pipe            __eq__ __hash__             frozen dataclass   {p >> q, Pipe(*p, *q)} == {p >> q}
Pipe            __repr__                    F#, Elm            repr(Pipe(f, b=g)) == 'f >> b'
Pipe            __setattr__ __delattr__     frozen dataclass   frozen(p, 'names')
juxt            __call__                    toolz.juxt         juxt(f, g)(x) == (f(x), g(x))
juxt            __len__ __iter__            tuple              juxt(*j) == j
juxt            __getitem__                 tuple              j[1](x) == j(x)[1]
juxt            __bool__                    functions          bool(juxt()) and len(juxt()) == 0
juxt            __eq__ __hash__             frozen dataclass   {j, juxt(f, g)} == {j}
juxt            __repr__                    functools.partial  repr(j) == 'juxt(f, g)'
juxt            __setattr__ __delattr__     frozen dataclass   frozen(j, 'functions')
partial         __call__                    functools.partial  partial(pow, 2)(x) == pow(2, x)
partial         __eq__ __hash__             frozen dataclass   {h, partial(pow, 2)} == {h}
partial         __repr__                    functools.partial  repr(h) == 'partial(pow, 2)'
partial         __setattr__ __delattr__     frozen dataclass   frozen(h, 'func')
Reversible      __call__                    sklearn, distrax   v.inverse(v(x)) == x
Reversible      __eq__ __hash__             frozen dataclass   {v, v.inverse.inverse} == {v}
Reversible      __repr__                    functools.partial  repr(v) == 'Reversible(f, back)'
Reversible      __setattr__ __delattr__     frozen dataclass   frozen(v, 'forward')
transducer      __call__                    Clojure, on folds  raises(lambda: t(x), 'Pipe(…).over')
transducer      __eq__ __hash__             frozen dataclass   {t, map_(f)} == {t}
transducer      __repr__                    functools.partial  repr(t) == 'map_(f)'
transducer      __setattr__ __delattr__     frozen dataclass   frozen(t, 'held')
Callback        __eq__ __hash__             frozen dataclass   {c, rebuilt(c)} == {c}
Callback        __repr__                    dataclass          'after_step' in repr(c)
Callback        __setattr__ __delattr__     frozen dataclass   frozen(c, 'name')
chain           __call__                    optax.chain        chain(halt, halt)(x) == halt(x)
chain           __len__ __iter__            list               chain(*chain(c, d)) == chain(c, d)
chain           __getitem__                 list               chain(c, d)[1] == d
chain           __eq__ __hash__             frozen dataclass   len({chain(c, d), chain(c, d)}) == 1
chain           __repr__                    optax.chain        repr(chain(f, g)) == 'chain(f, g)'
chain           __setattr__ __delattr__     frozen dataclass   frozen(chain(c, d), 'callbacks')
stop predicate  __or__ __ror__              numpy, django Q    stop(s | u) == min(stop(s), stop(u))
stop predicate  __and__ __rand__            numpy, django Q    stop(s & u) == max(stop(s), stop(u))
stop predicate  __invert__                  numpy, django Q    stop(~~s) == stop(s)
stop predicate  __bool__                    numpy              raises(lambda: s or u, '| & ~')
stop predicate  __array_ufunc__             numpy              raises(lambda: array | s, 'callback')
stop predicate  __eq__ __hash__             frozen dataclass   {s | u, s | u} == {s | u}
stop predicate  __repr__                    dataclass          's | u' in repr(s | u)
stop predicate  __setattr__ __delattr__     frozen dataclass   frozen(s, 'name')
Fold            __add__ __radd__            foldl Num          ask(m + n + 1) == ask(m) + ask(n) + 1
Fold            __sub__ __rsub__            foldl Num          ask(1 - (m - n)) == ask(1 - m + n)
Fold            __mul__ __rmul__            foldl Num          ask(2 * m * n) == 2 * ask(m) * ask(n)
Fold            __truediv__ __rtruediv__    foldl Fractional   ask(1 / (m / n)) == 1 / ask(m / n)
Fold            __floordiv__ __rfloordiv__  numpy              ask(9 // n // 2) == 9 // ask(n) // 2
Fold            __mod__ __rmod__            numpy              ask(n // 2 * 2 + n % 2) == ask(n)
Fold            __pow__ __rpow__            foldl Floating     ask(2 ** m**2) == 2 ** ask(m) ** 2
Fold            __neg__ __pos__             foldl Num          ask(-m) == -ask(+m)
Fold            __abs__                     foldl Num          ask(abs(-m)) == abs(ask(m))
Fold            __array_ufunc__             numpy              same(ask(array * m), array * ask(m))
Fold            __eq__ __hash__             frozen dataclass   {m + n, m + n} == {m + n}
Fold            __repr__                    dataclass          repr(m) == 'Fold(mean)'
Fold            __setattr__ __delattr__     frozen dataclass   frozen(m, 'step')
Fold            __getstate__                pickle             len({m + n, copied(m + n)}) == 1
LoopResult      __repr__                    scipy.optimize     'max_steps' in repr(result)
LoopResult      __setattr__ __delattr__     frozen dataclass   frozen(result, 'state')
Source          __iter__                    range              [*source] == [load(0), load(1)]
Source          __eq__ __hash__             frozen dataclass   {source, Source(2, load)} == {source}
Source          __repr__                    dataclass          'n_chunks=2' in repr(source)
Source          __setattr__ __delattr__     frozen dataclass   frozen(source, 'load')
==============  ==========================  =================  =====================================

`==` of functions made of arrays compares structure, dtypes and bits; of a `LoopResult`, which holds
whatever the state is, it is identity. `>>` wants a Pipe on one side: begin with `Pipe()`.

>>> import jfoundations as jf
>>> p = jf.Pipe() >> abs >> str
>>> old = p
>>> p >>= len
>>> p, old, -12 >> p
(abs >> str >> len, abs >> str, 2)
"""
