"""The identities of generalized-marchenko-pastur.md, for a population of three symbolic atoms."""

import sympy as sp

GAMMA, Z, M, U, A, H, S, V = sp.symbols("gamma z m u a h s v")
ATOMS = sp.symbols("t1:4", positive=True)
WEIGHTS = sp.symbols("w1:4", positive=True)
PAIRS = tuple(zip(ATOMS, WEIGHTS, strict=True))


def total(term):
    """γ Σ w term(t)."""
    return GAMMA * sum(w * term(t) for t, w in PAIRS)


def forward(u):
    """z(u)."""
    return u + total(lambda t: t * u / (u - t))


def phi(u):
    """Φ(u)."""
    return total(lambda t: t**2 / (u - t) ** 2)


def identities():
    """Each numbered identity as an expression that vanishes."""
    silverstein = -1 / M + total(lambda t: t / (1 + t * M))
    anchored = H * (1 - phi(A)) + H**2 * total(lambda t: t**2 / ((A - t) ** 2 * (A - t + H)))
    excess = total(lambda t: 1) - 1
    s, v = sp.symbols("s v", real=True, positive=True)
    weights = {w: sp.Symbol(w.name, positive=True) for w in WEIGHTS}
    gamma = sp.Symbol("gamma", positive=True)
    curve = sp.im(sp.expand_complex(forward(s + sp.I * v).subs({GAMMA: gamma, **weights}))) / v
    level = 1 - total(lambda t: t**2 / ((s - t) ** 2 + v**2)).subs({GAMMA: gamma, **weights})
    potential = M * silverstein + sp.log(M) - total(lambda t: sp.log(1 + t * M))
    return {
        "(1)": silverstein.subs(M, -1 / U) - forward(U),
        "(2)": sp.diff(forward(U), U) - 1 + phi(U),
        "(3)": forward(A + H) - forward(A) - anchored,
        "(4) Φ": phi(U) - 1 - excess - U * total(lambda t: (2 * t - U) / (U - t) ** 2),
        "(4) z": forward(U) - U * (-excess + U * total(lambda t: 1 / (U - t))),
        "(5)": curve - level,
        "(6)": sp.diff(potential, M) - M * sp.diff(silverstein, M),
    }


if __name__ == "__main__":
    for name, expression in identities().items():
        print(name, sp.simplify(sp.together(expression)))
