"""``calculate_output``: an arithmetic expression over the rewards of a multi grader's parts.

The operators and functions are vendor text's. Python's own parser gives the tree, from tokens that were read and
replaced here, so that nothing but arithmetic can be in it; the tree is walked, never compiled or run.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .result import GradingError

TOKENS_AT_MOST = 500
"""How long a formula may be (ours): a tree this deep is walked without reaching Python's limit of recursion."""

Operation = Callable[[float, float], float]
BINARY: dict[type[ast.operator], Operation] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,  # of floats: ** would answer with complex numbers
}
UNARY: dict[type[ast.unaryop], Callable[[float], float]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
OF_ONE: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "floor": math.floor,
    "ceil": math.ceil,
    "exp": math.exp,
    "sqrt": math.sqrt,
    "log": math.log,
}
OF_MANY: dict[str, Callable[[list[float]], float]] = {"min": min, "max": max}

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?>\d+(?:\.\d*)?|\.\d+)(?>[eE][+-]?\d+)?(?![\w.]))"
    r"|(?P<name>(?>[^\W\d]\w*))|(?P<sign>\*\*|[-+*/^(),]))"
)


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula that was read: its tree, and what the numbered names in it stand for."""

    tree: ast.expr
    operands: Mapping[str, float | str]

    def value(self, rewards: Mapping[str, float]) -> float:
        """The number that *rewards* give.

        Raises:
            GradingError: a name is unknown, or there is no such number.
        """
        try:
            result = float(self._of(self.tree, rewards))
        except (ArithmeticError, ValueError) as error:  # divided by zero, past all floats, the root of -1
            raise GradingError("other_error", f"The formula has no value: {error}.") from None
        except RecursionError:
            raise _no_formula("it is nested too deep") from None
        if not math.isfinite(result):
            raise GradingError("other_error", f"The formula's value is {result}.")
        return result

    def _of(self, node: ast.expr, rewards: Mapping[str, float]) -> float:
        match node:
            case ast.Name(name):
                return self._operand(name, rewards)
            case ast.UnaryOp(sign, operand):
                return UNARY[type(sign)](self._of(operand, rewards))
            case ast.BinOp(left, sign, right):
                return BINARY[type(sign)](self._of(left, rewards), self._of(right, rewards))
            case ast.Call(ast.Name(name), arguments, []):
                return self._call(str(self.operands[name]), [self._of(each, rewards) for each in arguments])
        raise _no_formula("it is more than arithmetic")

    def _operand(self, key: str, rewards: Mapping[str, float]) -> float:
        operand = self.operands[key]
        if isinstance(operand, float):
            return operand
        if operand not in rewards:
            raise GradingError("invalid_variable_error", f"The formula uses '{operand}', which no grader is called.")
        return rewards[operand]

    def _call(self, name: str, arguments: list[float]) -> float:
        if name in OF_ONE and len(arguments) == 1:
            return float(OF_ONE[name](arguments[0]))  # floor and ceil give integers without bounds
        if name in OF_MANY and arguments:
            return OF_MANY[name](arguments)
        raise _no_formula(f"there is no function '{name}' of {len(arguments)}")


def parse_formula(text: str) -> Formula:
    """Read a formula.

    Raises:
        GradingError: it is none.
    """
    words: list[str] = []
    operands: dict[str, float | str] = {}
    at, end = 0, len(text.rstrip())
    while at < end and len(words) <= TOKENS_AT_MOST:
        if (token := _TOKEN.match(text, at)) is None:
            raise _no_formula(f"'{text[at:].strip()[:20]}' is no part of one")
        words.append(_word(token, operands))
        at = token.end()
    if len(words) > TOKENS_AT_MOST:
        raise _no_formula(f"it has more than {TOKENS_AT_MOST} parts")
    return Formula(_tree(" ".join(words)), operands)


def _word(token: re.Match[str], operands: dict[str, float | str]) -> str:
    """What Python's parser gets for a token: a sign, or a numbered name, which no keyword is."""
    if sign := token["sign"]:
        return "**" if sign == "^" else sign
    key = f"_{len(operands)}"
    operands[key] = float(token["number"]) if token["number"] else str(token["name"])
    return key


def _tree(source: str) -> ast.expr:
    try:
        return ast.parse(source, mode="eval").body
    except (SyntaxError, RecursionError, MemoryError):  # what the parser answers to too many parentheses
        raise _no_formula("it does not parse") from None


def _no_formula(reason: str) -> GradingError:
    return GradingError("formula_parse_error", f"calculate_output is no formula: {reason}.")
