"""Translate a condition on columns into the filter language of a database.

A condition is the small language of `lib.search.collection.filters`. It is first evaluated on a
table without rows, so a bad one is refused in the same words everywhere. `not` is moved inwards to
the comparisons, where it turns them round; a null then meets none of them, as in a collection.
"""

import ast
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from lib.core.checks import RetrievalInputError
from lib.search.collection.filters import matching_rows

KINDS = {"whole": pa.int64(), "number": pa.float64(), "bool": pa.bool_(), "text": pa.string()}
_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_MIRROR = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
_SIGN = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


class Untranslatable(Exception):
    """A condition that a database cannot express; its rows are then found by their ids."""


@dataclass(frozen=True)
class StoreColumn:
    """A column of a store: its name for the user, its field in the database, its kind."""

    name: str
    field: str
    kind: str
    nullable: bool = False


def check_condition(where: str, columns: Mapping[str, StoreColumn]) -> None:
    """Refuse a condition that cannot be read, or compares a column with another kind of value."""
    schema = pa.schema([(name, KINDS[column.kind]) for name, column in columns.items()])
    matching_rows(schema.empty_table(), where)


def names_in(where: str, columns: Mapping[str, StoreColumn]) -> list[str]:
    """Return the columns that a condition names."""
    tree = ast.parse(where.strip(), mode="eval")
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return [name for name in columns if name in found]


class Sql:
    """Filters of LanceDB, which are SQL."""

    def field(self, column: StoreColumn) -> str:
        return f"`{column.field}`"

    def literal(self, value: str | int | float | bool) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str):
            if "\0" in value:
                raise Untranslatable
            return "'" + value.replace("'", "''") + "'"
        return _number(value)

    def compare(self, column: StoreColumn, sign: str, right: str) -> str:
        return f"{self.field(column)} {'=' if sign == '==' else sign} {right}"

    def among(self, column: StoreColumn, values: list, negated: bool) -> str:
        listed = ", ".join(self.literal(value) for value in values)
        return f"{self.field(column)} {'NOT IN' if negated else 'IN'} ({listed})"

    def contains(self, column: StoreColumn, text: str, negated: bool) -> str:
        pattern = self.literal("(?i)" + re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text))
        return f"{'NOT ' if negated else ''}regexp_like({self.field(column)}, {pattern})"

    def known(self, column: StoreColumn) -> str:
        return f"{self.field(column)} IS NOT NULL"

    def never(self) -> str:
        return "false"


class MilvusExpression:
    """Filters of Milvus. It has no nulls: a bool field `<field>__known` says where there is one."""

    def field(self, column: StoreColumn) -> str:
        return column.field

    def literal(self, value: str | int | float | bool) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str):
            if not value.isprintable():
                raise Untranslatable
            return json.dumps(value, ensure_ascii=False)
        return _number(value)

    def compare(self, column: StoreColumn, sign: str, right: str) -> str:
        if column.kind == "bool" and sign not in ("==", "!="):
            raise Untranslatable
        return self._known(column, f"{column.field} {sign} {right}")

    def among(self, column: StoreColumn, values: list, negated: bool) -> str:
        if not values or column.kind in ("bool", "number"):
            raise Untranslatable
        listed = ", ".join(self.literal(value) for value in values)
        return self._known(column, f"{column.field} {'not in' if negated else 'in'} [{listed}]")

    def contains(self, column: StoreColumn, text: str, negated: bool) -> str:
        raise Untranslatable  # no search inside a text without regard to case

    def known(self, column: StoreColumn) -> str:
        return f"{column.field}__known == true" if column.nullable else "id >= 0"

    def never(self) -> str:
        return "id < 0"

    def _known(self, column: StoreColumn, expression: str) -> str:
        return f"({self.known(column)} and {expression})" if column.nullable else expression


def translate(where: str, columns: Mapping[str, StoreColumn], dialect) -> str:
    """Return a condition in the language of a database; `Untranslatable` where it has no words.

    Args:
        where: a condition that `check_condition` accepted.
        columns: of the store, by name.
        dialect: `Sql()` or `MilvusExpression()`.
    """
    return _translated(ast.parse(where.strip(), mode="eval").body, False, columns, dialect)


def _translated(node: ast.expr, negated: bool, columns, dialect) -> str:
    match node:
        case ast.BoolOp(op=op, values=values):
            parts = [_translated(value, negated, columns, dialect) for value in values]
            word = "and" if isinstance(op, ast.And) != negated else "or"
            return "(" + f" {word} ".join(parts) + ")"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _translated(operand, not negated, columns, dialect)
        case ast.Compare(left=left, ops=ops, comparators=rights):
            parts = []
            for op, right in zip(ops, rights, strict=True):
                parts.append(_comparison(left, op, right, negated, columns, dialect))
                left = right
            return "(" + (" or " if negated else " and ").join(parts) + ")"
        case ast.Call(args=[ast.Name(id=name), text]) if columns[name].kind == "text":
            return dialect.contains(columns[name], str(ast.literal_eval(text)), negated)
        case ast.Name(id=name):
            return dialect.compare(columns[name], "==", dialect.literal(not negated))
    raise Untranslatable


def _comparison(left, op, right, negated: bool, columns, dialect) -> str:
    if isinstance(op, ast.In | ast.NotIn):
        column = columns[left.id]
        values = pa.array([ast.literal_eval(v) for v in right.elts], KINDS[column.kind])
        away = isinstance(op, ast.NotIn) != negated
        if not len(values):
            return dialect.known(column) if away else dialect.never()
        return dialect.among(column, values.to_pylist(), away)
    sign = _SIGN[type(op)]
    sign = _OPPOSITE[sign] if negated else sign
    if not isinstance(left, ast.Name):
        left, right, sign = right, left, _MIRROR[sign]
    column = columns[left.id]
    if isinstance(right, ast.Name):
        other = columns[right.id]
        if {column.kind, other.kind} != {"whole"} or column.nullable or other.nullable:
            raise Untranslatable
        return dialect.compare(column, sign, dialect.field(other))
    value = ast.literal_eval(right)
    if column.kind == "number":
        value = float(value)
    if column.kind == "whole" and isinstance(value, float):
        if not math.isfinite(value):
            raise Untranslatable
        if not value.is_integer() and sign in ("==", "!="):
            return dialect.known(column) if sign == "!=" else dialect.never()
        value = math.ceil(value) if sign in (">=", "<") else math.floor(value)
    return dialect.compare(column, sign, dialect.literal(value))


def _number(value: int | float) -> str:
    if not math.isfinite(value) or abs(value) > 2**62:
        raise Untranslatable
    return repr(value)


def refuse_many(n: int, most: int, where: str, engine: str) -> None:
    """Refuse a condition that is kept by a list of ids when the list is too long."""
    if n > most:
        raise RetrievalInputError(
            f"where = {where!r} has no translation for {engine}, and {n:,} pictures meet it; by"
            f" their ids at most {most:,} can be searched. Write it without contains, make it"
            " narrower, or search the collection itself"
        )
