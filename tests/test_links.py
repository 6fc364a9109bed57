"""Links: kinks found exactly, exact derivatives, and nothing but the whitelist."""

from __future__ import annotations

import contextlib
import pickle
import time

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from rmtfl.errors import BadInput
from rmtfl.gaussian import check_square_integrable
from rmtfl.links import MAX_EXPONENT, MAX_HERMITE, MAX_LENGTH, Link, hermite_polynomial, parse

ROOT = sp.sqrt(2)

KINKS = {
    "relu(x - 1/3)": [sp.Rational(1, 3)],
    "abs(abs(x) - 1)": [-1, 0, 1],
    "abs(abs(abs(x) - 2) - 1)": [-3, -2, -1, 0, 1, 2, 3],
    "Max(x, x**2)": [0, 1],
    "Min(x, 1, -x + 5)": [1, 4],
    "clip(x, -1/2, 3/2)": [sp.Rational(-1, 2), sp.Rational(3, 2)],
    "heaviside(x**2 - 2)": [-ROOT, ROOT],
    "abs(tanh(x) - 1/2)": [sp.atanh(sp.Rational(1, 2))],
    "abs(exp(x) - 3)": [sp.log(3)],
    "relu(exp(x) + 1)": [],
    "sign(x**3 - x)": [-1, 0, 1],
    "abs(x)**2": [],
    "relu(x) - relu(-x)": [],
    "relu(x) + relu(-x) - abs(x)": [],
    "leaky_relu(2*x + 1, 1/10)": [sp.Rational(-1, 2)],
    "Max(x, 0) + exp(Min(x, 0)) - 1": [0],
    "sign(x) * abs(x - 1)": [0, 1],
    "relu(x**2 - x - 1)": [(1 - sp.sqrt(5)) / 2, (1 + sp.sqrt(5)) / 2],
    "tanh(x + 7/10)": [],
}


@pytest.mark.parametrize("text", KINKS)
def test_kinks_are_exact(text):
    link = parse(text)
    assert len(link.kinks) == len(KINKS[text])
    for found, expected in zip(link.kinks, KINKS[text], strict=True):
        assert sp.simplify(found - expected) == 0
    assert len(link.pieces) == len(link.kinks) + 1


PLAIN = {
    "relu(x - 1/3)": lambda x: np.maximum(x - 1 / 3, 0),
    "abs(abs(abs(x) - 2) - 1)": lambda x: np.abs(np.abs(np.abs(x) - 2) - 1),
    "Max(x, x**2)": lambda x: np.maximum(x, x**2),
    "Min(x, 1, -x + 5)": lambda x: np.minimum(np.minimum(x, 1), 5 - x),
    "heaviside(x**2 - 2)": lambda x: np.heaviside(x**2 - 2, 0.5),
    "abs(tanh(x) - 1/2)": lambda x: np.abs(np.tanh(x) - 0.5),
    "sign(x) * abs(x - 1)": lambda x: np.sign(x) * np.abs(x - 1),
    "Max(x, 0) + exp(Min(x, 0)) - 1": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "softplus(5*x)": lambda x: np.logaddexp(0, 5 * x),
    "silu(x)": lambda x: x / (1 + np.exp(-x)),
    "sigmoid(-x)": lambda x: 1 / (1 + np.exp(x)),
    "2**x": lambda x: 2.0**x,
    "He3(x)": lambda x: x**3 - 3 * x,
}


@pytest.mark.parametrize("text", PLAIN)
def test_values_are_those_of_the_function_written_out(text):
    x = np.linspace(-4.05, 4.05, 302)  # no kink of the table is among the points
    np.testing.assert_allclose(parse(text).numpy()(x), PLAIN[text](x), rtol=1e-13, atol=1e-14)


DIFFERENTIABLE = [*PLAIN, "tanh(x + 7/10)", "gelu(x)", "erf(x/sqrt(2))", "sin(3*x)*exp(-x**2/2)", "atan(x)", "asinh(x)"]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("text", DIFFERENTIABLE)
def test_derivatives_against_numerical_differentiation(text, order):
    link = parse(text)
    derivative = link.derivative(order).numpy()
    pieces = link.mpmath_pieces()
    for point in np.linspace(-2.93, 3.07, 13):
        piece = pieces[sum(k < point for k in link.breakpoints)]
        with mpmath.workdps(40):
            expected = float(mpmath.diff(piece, mpmath.mpf(float(point)), order))
        assert derivative(np.array([point]))[0] == pytest.approx(expected, rel=1e-12, abs=1e-13)


def test_jumps_are_right_minus_left():
    assert parse("relu(x - 1/3)").jump(0) == 0
    assert parse("relu(3*x - 1)").jump(0, 1) == 3
    assert parse("2*heaviside(1 - x)").jump(0) == -2
    assert [parse("abs(abs(x) - 1)").jump(i, 1) for i in range(3)] == [2, -2, 2]
    assert parse("relu(x)**2").jump(0, 1) == 0
    assert parse("relu(x)**2").jump(0, 2) == 2
    assert sp.simplify(parse("abs(tanh(x) - 1/2)").jump(0, 1) - sp.Rational(3, 2)) == 0
    assert parse("abs(x)").is_continuous and not parse("sign(x)").is_continuous


@pytest.mark.parametrize(
    ("text", "polynomial", "linear"),
    [
        ("x**3/7 - 3", True, False),
        ("x", True, True),
        ("He5(x)", True, False),
        ("pi*x", False, True),
        ("relu(x)", False, True),
        ("clip(x, -1, 1)", False, True),
        ("relu(x)**2", False, False),
        ("tanh(x)", False, False),
        ("sign(x)", False, True),
    ],
)
def test_kinds(text, polynomial, linear):
    link = parse(text)
    assert (link.is_polynomial, link.is_piecewise_linear) == (polynomial, linear)


@pytest.mark.parametrize(
    ("text", "parity"),
    [("tanh(x)", -1), ("He4(x)", 1), ("abs(x)*sin(x)", -1), ("sign(x)", -1), ("relu(x)", 0), ("(x + 1)**2 - 2*x", 1)],
)
def test_parity(text, parity):
    assert parse(text).parity == parity


@pytest.mark.parametrize("text", KINKS)
def test_pickling(text):
    link = parse(text)
    assert pickle.loads(pickle.dumps(link)) == link
    slope = pickle.loads(pickle.dumps(link.derivative()))
    x = np.linspace(-3.3, 3.3, 40)
    assert slope.kinks == link.derivative().kinks
    np.testing.assert_array_equal(slope.numpy()(x), link.derivative().numpy()(x))


def test_derivatives_of_smooth_pieces_lose_their_kinks():
    assert parse("relu(x)").derivative(2).kinks == ()
    assert parse("relu(x)**2").derivative().kinks == (0,)


def test_a_piece_never_overflows_on_the_other_side():
    link = parse("Max(x, 0) + exp(Min(x, 0)) - 1")
    np.testing.assert_allclose(link.numpy()(np.array([-1e4, 1e4])), [-1.0, 1e4])
    softplus = parse("softplus(x)")
    np.testing.assert_allclose(softplus.numpy()(np.array([-1e3, 1e3])), [0.0, 1e3])


def test_hermite_polynomials_follow_their_recurrence():
    x = sp.Symbol("x", real=True)
    for k in range(1, 12):
        assert sp.expand(hermite_polynomial(k + 1) - x * hermite_polynomial(k) + k * hermite_polynomial(k - 1)) == 0
    assert parse("He2(2*x)").expression == 4 * x**2 - 1


# ------------------------------------------------------------------------------------------------ the whitelist

REFUSED = {
    "unknown name": ["y", "X", "e", "np", "__builtins__"],
    "unknown function": ["foo(x)", "eval(x)", "He(x)", "lambdify(x)", "diff(x)"],
    "call to anything but a name": ["__import__('os')", "x.real", "x.__class__()", "(lambda: 1)()", "relu(x)(x)"],
    "other syntax": ["[x]", "x if x else 1", "x < 1", "x and 1", "f'{x}'", "x; x", "x = 1", "x @ x", "x // 2", "x % 2"],
    "not a number": ["'x'", "True*x", "1j*x", "None", "b'x'", "...", "nan", "inf", "1e999", "1e-31*x", "x + 1e31"],
    "arity": ["tanh()", "tanh(x, x)", "clip(x)", "relu(x=1)", "tanh(*x)", "Max(x)", "He3()"],
    "not finite": ["1/0", "x/0", "log(0)*x", "1/(x - x)", "0**(-1)"],
    "not real": ["sqrt(-1)*x", "log(-2)", "(-1)**(1/2)", "(-8)**(1/3)*x"],
    "pole": ["1/x", "1/(x**2 - 2)", "x**(-3)", "1/tanh(x)", "exp(1/x)", "1/(1 - exp(x))"],
    "exponent": ["x**65", "x**(-65)", "x**1e9", "9**9**9", "9**9**9**9", "x**x", "(-2)**x", "2**2**2**2**2**2"],
    "degree": [f"He{MAX_HERMITE + 1}(x)", "He9999(x)", "He10000(x)", "He99999999999(x)"],
    "kinks": ["abs(sin(x))", "relu(x + tanh(x))", "sign(cos(x))", "Max(sin(x), cos(x))", "abs(x - exp(x))"],
    "empty": ["", " ", "#", "(", "x +", "1 2", "\0", "\ud800"],
    "text": [None, 1, 1.5, b"x"],
    "long": ["x" + "+x" * MAX_LENGTH, "(" * 400 + "x" + ")" * 400],
    "large": ["x" + "*x" * 64, "1" + "0" * 300, "9" * 20 + "**64*x", "((2**64)**64)**64*x"],
    "large when expanded": ["He40(He40(x))", "(x+1)**64**64", "abs(abs(He40(x)) - 1)" * 40],
}


@pytest.mark.parametrize("text", [text for texts in REFUSED.values() for text in texts], ids=lambda t: repr(t)[:40])
def test_refused(text):
    start = time.perf_counter()
    with pytest.raises(BadInput) as caught:
        parse(text)
    assert time.perf_counter() - start < 1.0
    assert str(caught.value)


@pytest.mark.parametrize(
    "text", ["tanh(" * 60 + "x" + ")" * 60, "-" * 400 + "x", "x" + "*x" * 63, "x" + "+x" * 240, "x**64", "He40(x)"]
)
def test_long_and_deep_input_is_answered_fast(text):
    start = time.perf_counter()
    assert isinstance(parse(text), Link)
    assert time.perf_counter() - start < 1.0


def test_messages_name_what_is_wrong():
    with pytest.raises(BadInput, match=r"unknown function 'foo'.*tanh"):
        parse("foo(x)")
    with pytest.raises(BadInput, match=rf"exponent 65 .* at most {MAX_EXPONENT}"):
        parse("x**65")
    with pytest.raises(BadInput, match=r"pole at x = 0"):
        parse("1/x")


@pytest.mark.parametrize("text", ["exp(x**2/4)", "exp(x**2)", "x*exp(x**2/3)", "sqrt(x)", "log(x)", "log(x**2 - 1)"])
def test_no_second_moment_is_refused_by_key(text):
    with pytest.raises(BadInput, match=r"'data\.target'"):
        check_square_integrable(parse(text), "data.target")


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_link_or_bad_input(text):
    with contextlib.suppress(BadInput):
        assert isinstance(parse(text), Link)


TOKENS = ["x", "1", "2", "1/3", "0.7", "pi", "E", "+", "-", "*", "/", "**", "(", ")", ",", "abs", "relu", "tanh", "Max"]
TOKENS += ["exp", "log", "sqrt", "He3", "os", "__", ".", "[", "lambda", ":", "sign", "clip", "erf", "=="]


@given(st.lists(st.sampled_from(TOKENS), max_size=12))
@settings(max_examples=300, deadline=2000)
def test_any_tokens_are_a_link_or_bad_input(tokens):
    text = "".join(tokens)
    with contextlib.suppress(BadInput):
        assert isinstance(parse(text), Link)


# Random trees, each with its own evaluation in mpmath that never sees the parser.
UNARY = {
    "tanh": mpmath.tanh,
    "erf": mpmath.erf,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "atan": mpmath.atan,
    "asinh": mpmath.asinh,
    "sigmoid": lambda v: 1 / (1 + mpmath.exp(-v)),
    "softplus": lambda v: mpmath.log1p(mpmath.exp(v)),
    "gelu": lambda v: v * mpmath.ncdf(v),
    "silu": lambda v: v / (1 + mpmath.exp(-v)),
}
KINKED = {
    "relu": lambda v: max(v, mpmath.mpf(0)),
    "abs": abs,
    "sign": mpmath.sign,
    "heaviside": lambda v: (1 + mpmath.sign(v)) / 2,
}
BINARY = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}
NUMBERS = st.sampled_from(["1", "2", "1/3", "7/10", "0.25", "pi", "3/2"])
VALUES = {"pi": lambda: +mpmath.pi, "1/3": lambda: mpmath.mpf(1) / 3, "7/10": lambda: mpmath.mpf(7) / 10}


def number(text):
    value = VALUES.get(text, lambda: mpmath.mpf(sp.Rational(text).p) / sp.Rational(text).q)
    return f"({text})", lambda x: value()


def apply(name, functions, tree):
    return f"{name}({tree[0]})", lambda x: functions[name](tree[1](x))


def combine(symbol, left, right):
    return f"({left[0]} {symbol} {right[0]})", lambda x: BINARY[symbol](left[1](x), right[1](x))


LINES = st.builds(
    lambda a, b, s: combine("+", combine("*", number(a), (f"({s}x)", lambda x: x if s == "" else -x)), number(b)),
    NUMBERS,
    NUMBERS,
    st.sampled_from(["", "-"]),
)
LEAVES = st.one_of(
    LINES,
    NUMBERS.map(number),
    st.builds(lambda name, line: apply(name, KINKED, line), st.sampled_from(sorted(KINKED)), LINES),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda name, tree: apply(name, UNARY, tree), st.sampled_from(sorted(UNARY)), inner),
        st.builds(combine, st.sampled_from(sorted(BINARY)), inner, inner),
    ),
    max_leaves=4,
)


@given(TREES)
@settings(max_examples=150, deadline=None)
def test_random_expressions_agree_with_direct_evaluation(tree):
    text, direct = tree
    link = parse(text)
    function, pieces = link.numpy(), link.mpmath_pieces()
    for point in (-2.718, -1.1234, -0.2345, 0.3456, 1.4142, 2.9):
        with mpmath.workdps(30):
            expected = direct(mpmath.mpf(point))
            exact = pieces[sum(k < point for k in link.breakpoints)](mpmath.mpf(point))
            assert abs(exact - expected) <= mpmath.mpf(10) ** -22 * (1 + abs(expected))
        # Cancellation inside the expression may lose digits in doubles, never many of these mild ones.
        assert function(np.array([point]))[0] == pytest.approx(float(expected), rel=1e-8, abs=1e-8)
