"""Small changes to a function that a good test suite notices.

The operators are those that were found sufficient (Offutt and others, 1996), as Python has them:
of relations, arithmetic, logic, constants, and statements. Strings stay as they are: a message in
other words is seldom a defect. A change touches one expression and leaves the rest of the text, so
that it reads as a diff and keeps every line where it was.
"""

from __future__ import annotations

import ast
import hashlib
import io
import re
from dataclasses import dataclass

from lionagi_qe.agents.project.parsing import NOT_PARSED, tree_of

_RELATIONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: (r"is\s+not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: (r"not\s+in", "in"),
}
_ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.BitXor: ("^", "&"),
}
# What these are called with is for people to read.
_LOGS = frozenset({"_log", "_logger", "log", "logger", "logging", "warnings"})
_EXEMPT = re.compile(r"#\s*pragma:\s*no\s*(mutate|cover)")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file.

    Attributes:
        file: within the project.
        function: its qualified name.
        operator: what kind of change.
        line: where the changed expression begins, from 1.
        statement: where the statement around it begins.
        start: in characters from the start of the file.
        end: of what is replaced.
        replacement: by what.
        outermost: name and first line of the function that is no part of another one.
    """

    file: str
    function: str
    operator: str
    line: int
    statement: int
    start: int
    end: int
    replacement: str
    outermost: tuple[str, int]

    def apply(self, text: str) -> str:
        """Return the text of the file with the change."""
        return text[: self.start] + self.replacement + text[self.end :]

    @property
    def rank(self) -> str:
        """A number that is spread evenly, and the same as long as the change is."""
        key = f"{self.file}\0{self.function}\0{self.operator}\0{self.start}\0{self.replacement}"
        return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


def mutants_of(file: str, text: str) -> list[Mutant]:
    """Return the changes of a file's functions, in the order of the text.

    Raises:
        SyntaxError: the text is no Python.

    """
    found = _Finder(file, text)
    found.visit(tree_of(text))
    return sorted(found.mutants, key=lambda mutant: (mutant.start, mutant.operator))


class _Finder(ast.NodeVisitor):
    """Walks a module and notes what may be changed."""

    def __init__(self, file: str, text: str) -> None:
        self.mutants: list[Mutant] = []
        self._file = file
        self._text = text
        self._names: list[str] = []
        self._outermost: tuple[str, int] | None = None
        self._statement = 0
        # Not splitlines: Python's lines end at line feeds and carriage returns, nowhere else.
        lines = list(io.StringIO(text, newline=""))
        self._exempt = {
            number for number, line in enumerate(lines, start=1) if _EXEMPT.search(line)
        }
        self._starts = [0]
        for line in lines:
            self._starts.append(self._starts[-1] + len(line))
        self._lines = lines

    # Where we are

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        entering = self._outermost is None
        if entering:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            self._outermost = (node.name, first)
        self._names.append(node.name)
        for statement in node.body:
            self.visit(statement)
        self._names.pop()
        if entering:
            self._outermost = None

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - as the base class calls it

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._names.append(node.name)
        for statement in node.body:
            self.visit(statement)
        self._names.pop()

    def visit(self, node: ast.AST) -> None:
        """Note where statements begin; leave out what is not for running."""
        if isinstance(node, ast.stmt):
            self._statement = node.lineno
        if isinstance(node, ast.Assert | ast.Global | ast.Nonlocal | ast.Import | ast.ImportFrom):
            return
        if isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self.visit(node.value)
            return
        super().visit(node)

    # What may be changed

    def visit_Compare(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        for number, operator in enumerate(node.ops):
            old, new = _RELATIONS[type(operator)]
            self._between(node, sides[number], sides[number + 1], old, new, "relation")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        swap = _ARITHMETIC.get(type(node.op))
        if swap is not None and not (_is_text(node.left) or _is_text(node.right)):
            self._between(node, node.left, node.right, *swap, "arithmetic")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        swap = _ARITHMETIC.get(type(node.op))
        if swap is not None and not _is_text(node.value):
            old, new = swap
            self._between(node, node.target, node.value, f"{old}=", f"{new}=", "arithmetic")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        # All of them at once: "a and b or c" would be another change than it looks.
        if len(node.values) == 2:  # noqa: PLR2004
            self._between(node, node.values[0], node.values[1], old, new, "logic")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not | ast.USub):
            operator = "logic" if isinstance(node.op, ast.Not) else "arithmetic"
            self._replace(node, f"({self._segment(node.operand)})", operator)
        if not isinstance(node.operand, ast.Constant):
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._replace(node, str(not node.value), "constant")
        elif isinstance(node.value, int | float):
            self._replace(node, repr(node.value + 1), "constant")

    def visit_Return(self, node: ast.Return) -> None:
        value = node.value
        if value is not None and not (isinstance(value, ast.Constant) and value.value is None):
            self._replace(value, "None", "return value")
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        self._negate(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_Break(self, node: ast.Break) -> None:
        self._replace(node, "continue", "statement")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._replace(node, "break", "statement")

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            if _is_log(node.value):
                return
            self._replace(node, "pass", "statement")
        self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leave texts as they are; what is in them has no place of its own before Python 3.12."""

    def visit_match_case(self, node: ast.match_case) -> None:
        """Leave patterns as they are: few expressions may stand there."""
        for part in ([] if node.guard is None else [node.guard]) + [*node.body]:
            self.visit(part)

    # How it is noted

    def _negate(self, test: ast.expr) -> None:
        # Comparisons and logic have changes of their own that do the same or less.
        if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant):
            self._replace(test, f"not ({self._segment(test)})", "condition")

    def _between(  # noqa: PLR0913, PLR0917 - an operator and its surroundings
        self, node: ast.AST, left: ast.AST, right: ast.AST, old: str, new: str, operator: str
    ) -> None:
        start, end = self._span(left)[1], self._span(right)[0]
        gap = self._text[start:end]
        # Old is a word, words with space between, or signs.
        words = old[0].isalpha()
        pattern = rf"\b{old}\b" if words else re.escape(old)
        match = None if "#" in gap else re.search(pattern, gap)
        if match is not None:
            self._add(node, start + match.start(), start + match.end(), new, operator)

    def _replace(self, node: ast.AST, text: str, operator: str) -> None:
        start, end = self._span(node)
        # As many lines as before, so that everything below keeps its line.
        lost = self._text.count("\n", start, end) - text.count("\n")
        self._add(node, start, end, text + "\n" * lost, operator)

    def _add(self, node: ast.AST, start: int, end: int, text: str, operator: str) -> None:
        line: int = getattr(node, "lineno", self._statement)
        if self._outermost is None or not self._exempt.isdisjoint({line, self._statement}):
            return
        mutant = Mutant(
            self._file,
            ".".join(self._names),
            operator,
            line,
            self._statement,
            start,
            end,
            text,
            self._outermost,
        )
        if "\n" in self._text[start:end] and not _parses(mutant.apply(self._text)):
            # A value in brackets over several lines, for one, can't lose them.
            return
        self.mutants.append(mutant)

    def _segment(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self._text[start:end]

    def _span(self, node: ast.AST) -> tuple[int, int]:
        """Return where a node's text begins and ends, in characters."""
        line: int = getattr(node, "lineno", 1)
        end_line: int = getattr(node, "end_lineno", line)
        start: int = getattr(node, "col_offset", 0)
        end: int = getattr(node, "end_col_offset", start)
        return self._offset(line, start), self._offset(end_line, end)

    def _offset(self, line: int, column: int) -> int:
        # ast counts columns in UTF-8 bytes.
        before = self._lines[line - 1].encode()[:column].decode()
        return self._starts[line - 1] + len(before)


def _parses(text: str) -> bool:
    try:
        tree_of(text)
    except NOT_PARSED:
        return False
    return True


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )


def _is_log(call: ast.Call) -> bool:
    function = call.func
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id in _LOGS
    )
