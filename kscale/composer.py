"""Composes kernels and drivers into one module of plain Python text.

A *kernel* is a function of the package; a *driver* is a short text that calls kernels and other drivers with their own
arguments only. ``Composer`` fills in the columns that each kernel names, and writes drivers out in place where they are
called, so that the module holds a few entry functions that call kernels directly. (Passing a hundred arrays from driver
to driver made the module four times slower to compile: 52 s against 13 s, `python -m benchmarks.compiling`.)
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Collection, Mapping
from typing import Any

from kscale.kernels import Kind, parameters, plain, put_in_place, taken_by


class Composer:
    """Collects kernels (``use``) and drivers (``define``); ``source`` writes the entries out.

    A driver may call another driver as a statement, or as the whole right side of an assignment; what it returns is
    said by one ``return`` at its end.
    """

    def __init__(self, columns: Collection[str], kinds: Mapping[str, Kind] | None = None) -> None:
        """Take the names of all columns, and their kinds where entries are to take them in one table.

        An argument for each of three hundred columns doubles the time to compile an entry (``kscale.kernels.table``),
        and handing twenty of them to each kernel doubles it again: kernels take theirs from the table too. Not those
        that are put in place: they run for every pod, and columns that are at hand make them twice as fast.
        """
        self._columns = frozenset(columns)
        self._kinds = kinds
        self._kernels: dict[str, list[str]] = {}
        self._places: dict[str, str] = {}
        self._tabled: dict[str, dict[str, str]] = {}
        self._drivers: dict[str, tuple[list[str], list[ast.stmt]]] = {}
        self._apart: dict[str, tuple[list[str], list[ast.stmt]]] = {}
        self._entries: list[str] = []
        self._functions: dict[str, ast.FunctionDef] = {}
        self._named: dict[str, frozenset[str]] = {}
        self._inlined = 0

    def use(
        self, name: str, function: Callable[..., Any] | None, stand_ins: Mapping[str, str] | None = None
    ) -> None:  # fmt: skip
        """Bring in a kernel under ``name``; its columns follow its other parameters.

        ``stand_ins`` names other columns that it gets in place of some of its own. Raises ValueError when a parameter
        that is not a column follows one that is, or another kernel has the name.
        """
        assert function is not None, f"{name} has no kernel"
        names = parameters(function)
        needs = [parameter for parameter in names if parameter in self._columns]
        if names[len(names) - len(needs) :] != needs:
            raise ValueError(f"{plain(function).__qualname__}: columns must come last, in {names}")
        self._functions.clear()
        self._named.clear()
        place = f"{plain(function).__module__}.{plain(function).__qualname__}"
        if self._places.setdefault(name, place) != place:
            raise ValueError(f"'{name}' is {self._places[name]} already, and cannot be {place}")
        columns = {parameter: (stand_ins or {}).get(parameter, parameter) for parameter in needs}
        if self._kinds is None or put_in_place(function):
            self._kernels[name] = list(columns.values())
        else:
            self._kernels[name], self._tabled[name] = ["_table"] * bool(needs), columns

    def define(self, name: str, arguments: str, body: str, *, entry: bool = False, apart: bool = False) -> None:
        """Add a driver with the text ``body``; an entry becomes a function of the module.

        So does one that stands apart, which others call: one large function takes longer to compile than its parts, and
        each call of a part takes its columns from the table anew.
        """
        parsed = _Folder().visit(ast.parse(body)).body
        self._functions.clear()
        self._named.clear()
        driver = ([a.strip() for a in arguments.split(",") if a.strip()], parsed)
        if apart and self._kinds is not None:
            self._apart[name], self._kernels[name] = driver, ["_table"]
            return
        self._drivers[name] = driver
        if entry:
            self._entries.append(name)

    def columns_of(self, entry: str) -> list[str]:
        """Return the columns that an entry takes after its own arguments, in order.

        In one table they are those of all entries.
        """
        return self._needs(entry) if self._kinds is None else self._table()

    def source(self) -> str:
        """Return the module's text."""
        kinds = self._kinds or {}
        rows = {column: row for row, column in enumerate(self._table())} if kinds else {}
        lines = [
            '"""Composed by kscale.composer; see there."""',
            "import numpy as np",
            "",
            "from kscale import kernels as _kernels",
            "_entry, _form, _part = _kernels.forms(globals().get('COMPILED', True))",
            *(f"import {module}" for module in sorted({place.rpartition(".")[0] for place in self._places.values()})),
            *(f"{name} = _form({self._places[name]}{self._rows(name, rows)})" for name in self._used()),
            *(
                f"{taken_by(kind)} = _kernels.taker({kind}, globals().get('COMPILED', True))"
                for kind in sorted(set(kinds.values()))
            ),
        ]
        functions = [*self._parts(), *self._entries]
        texts = [ast.unparse(ast.fix_missing_locations(self._with_columns(name, rows))) for name in functions]
        return "\n".join(lines) + "\n\n\n" + "\n\n\n".join(texts) + "\n"

    def _parts(self) -> list[str]:
        """Return the drivers apart that some entry calls, be it by way of others."""
        found: dict[str, None] = {}
        left = list(self._entries)
        while left:
            for name in sorted(self._names(left.pop()) & self._apart.keys() - found.keys()):
                found[name] = None
                left.append(name)
        return list(found)

    def _used(self) -> list[str]:
        """Return the kernels that some entry calls, by name."""
        functions = [*self._parts(), *self._entries]
        return sorted({name for one in functions for name in self._names(one) & self._places.keys()})

    def _table(self) -> list[str]:
        """Return the columns of the one table that all entries take: what they name, and what their kernels do."""
        functions = [*self._parts(), *self._entries]
        named = {name for one in functions for name in self._needs(one)}
        return sorted(named.union(*(self._tabled.get(name, {}).values() for name in self._used())))

    def _rows(self, name: str, table: Mapping[str, int]) -> str:
        """Return where in the table a kernel's columns stand, as the text of an argument."""
        if self._kinds is None or not self._tabled.get(name):
            return ""
        rows = {parameter: (self._kinds[column], table[column]) for parameter, column in self._tabled[name].items()}
        return f", {rows}"

    def _needs(self, entry: str) -> list[str]:
        return sorted(self._names(entry) & self._columns)

    def _names(self, entry: str) -> frozenset[str]:
        """Return what an entry names when its drivers are written out."""
        if entry not in self._named:
            nodes = ast.walk(self._written(entry))
            self._named[entry] = frozenset(node.id for node in nodes if isinstance(node, ast.Name))
        return self._named[entry]

    def _written(self, entry: str) -> ast.FunctionDef:
        """Return an entry with its drivers written out, without the columns among its arguments."""
        if entry not in self._functions:
            arguments, body = self._apart[entry] if entry in self._apart else self._drivers[entry]
            self._inlined = 0
            self._functions[entry] = ast.FunctionDef(
                name=entry, args=_arguments(arguments), body=self._expand(body, entry),
                decorator_list=[ast.Name("_part" if entry in self._apart else "_entry")],
            )  # fmt: skip
        return self._functions[entry]

    def _with_columns(self, entry: str, table: Mapping[str, int]) -> ast.FunctionDef:
        function = copy.copy(self._written(entry))
        own = (self._apart[entry] if entry in self._apart else self._drivers[entry])[0]
        needs = self._needs(entry)
        if self._kinds is None:
            function.args = _arguments([*own, *needs])
            return function
        taken = [f"{name} = {taken_by(self._kinds[name])}(_table, {table[name]})" for name in needs]
        function.args = _arguments([*own, "_table"])
        function.body = [*ast.parse("\n".join(taken)).body, *function.body]
        return function

    def _expand(self, body: list[ast.stmt], where: str) -> list[ast.stmt]:
        result: list[ast.stmt] = []
        for statement in body:
            call, target = _driver_call(statement, self._drivers)
            if call is not None:
                result += self._inline(call, target, isinstance(statement, ast.Return))
                continue
            copied = copy.copy(statement)
            for field, value in ast.iter_fields(statement):
                if field in ("body", "orelse"):
                    setattr(copied, field, self._expand(value, where))
                elif isinstance(value, ast.expr):
                    setattr(copied, field, self._filled(value, where))
            result.append(copied)
        return result

    def _filled(self, expression: ast.expr, where: str) -> ast.expr:
        filled: ast.expr = _Filler(self._kernels, self._drivers, where).visit(copy.deepcopy(expression))
        return filled

    def _inline(self, call: ast.Call, target: ast.expr | None, returns: bool) -> list[ast.stmt]:
        assert isinstance(call.func, ast.Name)
        name = call.func.id
        parameters_, body = self._drivers[name]
        if len(parameters_) != len(call.args):
            raise ValueError(f"{name} takes {parameters_}, not {len(call.args)} arguments")
        self._inlined += 1
        assigned = {n.id for s in body for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        renamed = {local: f"{local}_{self._inlined}" for local in assigned | set(parameters_)}
        lines: list[ast.stmt] = []
        values: dict[str, ast.expr] = {}
        for parameter, argument in zip(parameters_, call.args, strict=True):
            if isinstance(argument, ast.Constant) and parameter not in assigned:
                values[parameter] = argument
            else:
                filled = _Filler(self._kernels, self._drivers, name).visit(
                    ast.parse(ast.unparse(argument), mode="eval").body
                )
                lines.append(ast.Assign(targets=[ast.Name(renamed[parameter], ast.Store())], value=filled))
        body = [_Renamer(renamed, values).visit(s) for s in copy.deepcopy(body)]
        last = body[-1] if isinstance(body[-1], ast.Return) else None
        lines += self._expand(body[:-1] if last else body, name)
        if last is not None and last.value is not None and (target is not None or returns):
            end: ast.stmt = ast.Return(last.value) if returns else ast.Assign(targets=[target], value=last.value)  # type: ignore[list-item]
            lines += self._expand([ast.fix_missing_locations(end)], name)
        return lines


def _arguments(names: list[str]) -> ast.arguments:
    return ast.arguments([], [ast.arg(name) for name in names], None, [], [], None, [])


def _driver_call(statement: ast.stmt, drivers: Collection[str]) -> tuple[ast.Call | None, ast.expr | None]:
    value = getattr(statement, "value", None)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in drivers:
        if isinstance(statement, ast.Assign):
            return value, statement.targets[0]
        if isinstance(statement, ast.Expr | ast.Return):
            return value, None
    return None, None


class _Filler(ast.NodeTransformer):
    """Appends to every call of a kernel the columns that it names."""

    def __init__(self, kernels: dict[str, list[str]], drivers: Collection[str], where: str) -> None:
        self._kernels, self._drivers, self._where = kernels, drivers, where

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name):
            if node.func.id in self._drivers:
                raise ValueError(f"{self._where} calls the driver {node.func.id} inside an expression")
            if node.func.id in self._kernels:
                node.args = [_typed(argument) for argument in node.args]
            node.args += [ast.Name(column, ast.Load()) for column in self._kernels.get(node.func.id, [])]
        return node


def _typed(argument: ast.expr) -> ast.expr:
    """Return an integer constant as an int64: numba compiles a kernel anew for every literal that it is called with."""
    if isinstance(argument, ast.Constant) and type(argument.value) is int:
        return ast.Call(ast.Attribute(ast.Name("np", ast.Load()), "int64", ast.Load()), [argument], [])
    return argument


class _Folder(ast.NodeTransformer):
    """Makes one constant of a minus sign and a number, so that it is put in place like any other."""

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant) and type(node.operand.value) is int:
            return ast.copy_location(ast.Constant(-node.operand.value), node)
        return node


class _Renamer(ast.NodeTransformer):
    """Gives the locals of a driver names of their own, and puts constants where they were handed in."""

    def __init__(self, names: dict[str, str], values: dict[str, ast.expr]) -> None:
        self._names, self._values = names, values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self._values:
            return self._values[node.id]
        return ast.Name(self._names.get(node.id, node.id), node.ctx)
