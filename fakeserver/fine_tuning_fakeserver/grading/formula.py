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

from fine_tuning_formats.lazy_dataclass import dataclass

from .result import GradingError

TOKENS_AT_MOST = 500
"""How long a formula may be (ours): a tree this deep is walked without reaching Python's limit of recursion."""

BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
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
    """A parsed formula: its tree, and what the numbered names in it stand for, numbers or names."""

    tree: ast.expr
    operands: Mapping[str, float | str]

    def value(self, rewards: Mapping[str, float]) -> float:
        """Compute the formula from *rewards*.

        Raises:
            GradingError: a name is unknown, or the formula has no finite value.
        """
        try:
            result = float(self._evaluate(self.tree, rewards))
        except (ArithmeticError, ValueError) as error:  # divided by zero, past all floats, the root of -1
            raise GradingError("other_error", f"The formula has no value: {error}.") from None
        except RecursionError:
            raise _parse_error("it is nested too deep") from None
        if not math.isfinite(result):
            raise GradingError("other_error", f"The formula's value is {result}.")
        return result

    def _evaluate(self, node: ast.expr, rewards: Mapping[str, float]) -> float:
        match node:
            case ast.Name(key):
                operand = self.operands[key]
                if isinstance(operand, float):
                    return operand
                if operand in rewards:
                    return rewards[operand]
                text = f"The formula uses '{operand}', which no grader is called."
                raise GradingError("invalid_variable_error", text)
            case ast.UnaryOp(sign, operand_node):
                return UNARY[type(sign)](self._evaluate(operand_node, rewards))
            case ast.BinOp(left, sign, right):
                return BINARY[type(sign)](self._evaluate(left, rewards), self._evaluate(right, rewards))
            case ast.Call(ast.Name(key), arguments, []):
                name, values = self.operands[key], [self._evaluate(argument, rewards) for argument in arguments]
                if name in OF_ONE and len(values) == 1:
                    return float(OF_ONE[name](values[0]))  # floor and ceil give integers without bounds
                if name in OF_MANY and values:
                    return OF_MANY[name](values)
                raise _parse_error(f"there is no function '{name}' of {len(values)}")
        raise _parse_error("it is more than arithmetic")


def parse_formula(text: str) -> Formula:
    """Parse a formula.

    Raises:
        GradingError: it does not parse.
    """
    words: list[str] = []
    operands: dict[str, float | str] = {}
    at, end = 0, len(text.rstrip())
    while at < end and len(words) <= TOKENS_AT_MOST:
        if (token := _TOKEN.match(text, at)) is None:
            raise _parse_error(f"'{text[at:].strip()[:20]}' is no part of one")
        if sign := token["sign"]:
            words.append("**" if sign == "^" else sign)
        else:
            # Python's parser sees a numbered name for every number and name: none of them can be a keyword, an
            # attribute or a literal of another kind.
            key = f"_{len(operands)}"
            operands[key] = float(token["number"]) if token["number"] else str(token["name"])
            words.append(key)
        at = token.end()
    if len(words) > TOKENS_AT_MOST:
        raise _parse_error(f"it has more than {TOKENS_AT_MOST} parts")
    try:
        return Formula(ast.parse(" ".join(words), mode="eval").body, operands)
    except (SyntaxError, RecursionError, MemoryError):  # the latter two: too many parentheses
        raise _parse_error("it does not parse") from None


def _parse_error(reason: str) -> GradingError:
    return GradingError("formula_parse_error", f"calculate_output is no formula: {reason}.")
