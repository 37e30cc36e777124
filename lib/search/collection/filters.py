"""Conditions on the columns of a collection, as in Python: `year >= 2020 and kind == "map"`."""

import ast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lib.core.checks import RetrievalInputError, check_choice

MAX_LENGTH = 2000
EXAMPLE = '`year >= 2020 and kind in ["map", "plan"]`, or `contains(caption, "red")`'
_COMPARE = {
    ast.Eq: pc.equal,
    ast.NotEq: pc.not_equal,
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
}


def matching_rows(table: pa.Table, where: str) -> np.ndarray:
    """Return a bool for each row: whether it meets a condition; a null meets none.

    The condition has columns, texts, numbers, lists, comparisons, `in`, `and`, `or`, `not` and
    `contains(column, text)`, which ignores case. Nothing else is evaluated.

    Args:
        table: the columns.
        where: the condition.
    """
    if len(where) > MAX_LENGTH:
        raise RetrievalInputError(f"where must have at most {MAX_LENGTH} characters")
    try:
        tree = ast.parse(where.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        advice = ", write == to compare" if "=" in where and "==" not in where else ""
        raise _refuse(where, f"it cannot be read{advice}") from error
    try:
        mask = _mask(tree, table, where)
    except RetrievalInputError:
        raise
    except RecursionError as error:
        raise _refuse(where, "it is nested too deeply") from error
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise _refuse(where, f"a column is compared with another kind of value: {why}") from error
    return pc.fill_null(mask, False).to_numpy(zero_copy_only=False)


def _mask(node: ast.expr, table: pa.Table, where: str) -> pa.ChunkedArray:
    match node:
        case ast.BoolOp(op=op, values=values):
            join = pc.and_kleene if isinstance(op, ast.And) else pc.or_kleene
            mask = _mask(values[0], table, where)
            for value in values[1:]:
                mask = join(mask, _mask(value, table, where))
            return mask
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return pc.invert(_mask(operand, table, where))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _comparison(left, op, right, table, where)
        case ast.Compare(left=left, ops=ops, comparators=rights):  # 1990 <= year < 2000
            mask = None
            for op, right in zip(ops, rights, strict=True):
                one = _comparison(left, op, right, table, where)
                mask, left = one if mask is None else pc.and_kleene(mask, one), right
            return mask
        case ast.Call(func=ast.Name(id="contains"), args=[column, text], keywords=[]):
            texts = pc.cast(_value(column, table, where), pa.string())
            return pc.match_substring(texts, str(_constant(text, where)), ignore_case=True)
        case ast.Name():
            values = _value(node, table, where)
            if pa.types.is_boolean(values.type):
                return values
    raise _refuse(where, f"{ast.unparse(node)!r} is no condition")


def _comparison(
    left: ast.expr, op: ast.cmpop, right: ast.expr, table: pa.Table, where: str
) -> pa.ChunkedArray:
    if not any(isinstance(side, ast.Name) for side in (left, right)):
        raise _refuse(where, "a comparison must name a column")
    if isinstance(op, ast.In | ast.NotIn):
        column = _value(left, table, where)
        if not isinstance(right, ast.List | ast.Tuple):
            raise _refuse(where, "`in` needs a list, as in [1, 2]")
        values = [_constant(value, where) for value in right.elts]
        mask = pc.is_in(column, value_set=pa.array(values, column.type))
        mask = pc.if_else(pc.is_valid(column), mask, pa.scalar(None, pa.bool_()))
        return mask if isinstance(op, ast.In) else pc.invert(mask)
    if type(op) not in _COMPARE:
        raise _refuse(where, "only == != < <= > >= and `in` compare")
    return _COMPARE[type(op)](_value(left, table, where), _value(right, table, where))


def _value(node: ast.expr, table: pa.Table, where: str):
    if isinstance(node, ast.Name):
        return table[check_choice(node.id, table.column_names, "a column of where")]
    return pa.scalar(_constant(node, where))


def _constant(node: ast.expr, where: str) -> str | int | float | bool:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError) as error:
        raise _refuse(where, f"{ast.unparse(node)!r} is neither column nor value") from error
    if not isinstance(value, str | int | float | bool):
        raise _refuse(where, f"{value!r} is neither text nor number")
    return value


def _refuse(where: str, why: str) -> RetrievalInputError:
    return RetrievalInputError(f"where = {where[:200]!r}: {why}. Write for example {EXAMPLE}")
