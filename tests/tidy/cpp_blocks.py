"""Finds functions and classes in C++, well enough to measure them. Knows braces, not types."""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Function:
    line: int  # where its declaration begins
    lines: int  # from there to its closing brace
    head: str  # its declaration, in one line


@dataclasses.dataclass
class Class:
    line: int
    head: str
    members: int = 0  # data members that end in an underscore


_TEMPLATE = re.compile(r"^template\s*<")
_CONTAINER = re.compile(
    r"^(?:\[\[\w+\]\]\s*)*(?:(?:inline|static|constexpr|const|typedef|friend)\s+)*"
    r"(namespace|class|struct|union|enum|extern)\b"
)
_MEMBER = re.compile(r"\b\w+_\s*(?:CAIRN_\w+\s*\([^()]*\)\s*)*(?:=.*|\{.*)?$", re.DOTALL)
_NOT_MEMBER = re.compile(r"^(?:using|typedef|friend|static|template|return)\b")
_ACCESS = re.compile(r"(?:public|private|protected)\s*$")


def _after_template(head):
    """`head` without its template<...> prefixes."""
    while _TEMPLATE.match(head):
        depth = 0
        for position, character in enumerate(head):
            if character == "<":
                depth += 1
            elif character == ">":
                depth -= 1
                if depth == 0:
                    head = head[position + 1 :].lstrip()
                    break
        else:
            return head
    return head


def _container_kind(head):
    """namespace, class, … if a brace after `head` opens one, else None."""
    head = _after_template(head)
    match = _CONTAINER.match(head)
    if not match:
        return None
    # `struct Point Middle(...) {` returns a struct; attribute macros with arguments come before
    # the name, so what follows the last parenthesis tells.
    ends_a_function = re.search(r"\)\s*(?:const|noexcept|override|final|\s)*$", head)
    if match.group(1) != "extern" and ends_a_function:
        return None
    return match.group(1)


def _has_initializer(head):
    """True for `auto x = …` and not for operators and default arguments."""
    head = re.sub(r"\boperator\s*[^\s\w(]+", "operator", head)
    depth = 0
    for character in head:
        if character in "([<":
            depth += 1
        elif character in ")]>":
            depth -= 1
        elif character == "=" and depth <= 0:
            return True
    return False


class _Reader:
    def __init__(self, code):
        self.code = code
        self.functions = []
        self.classes = []
        self._open = []  # a Class, or None for a namespace and the like
        self._start = None  # of the statement being read
        self._parentheses = 0

    def read(self):
        position = 0
        while position < len(self.code):
            position = self._step(position)
        return self

    def _line(self, position):
        return self.code.count("\n", 0, position) + 1

    def _head(self, end):
        return self.code[self._start : end].strip() if self._start is not None else ""

    def _end_statement(self):
        self._start = None
        self._parentheses = 0

    def _step(self, position):
        character = self.code[position]
        if character == "{":
            return self._open_brace(position)
        if character == "}":
            if self._open:
                self._open.pop()
            self._end_statement()
        elif character == ";" and self._parentheses == 0:
            self._count_member(self._head(position))
            self._end_statement()
        elif character == ":" and _ACCESS.fullmatch(self._head(position)):
            self._end_statement()
        elif not character.isspace():
            if self._start is None:
                self._start = position
            self._parentheses += (character == "(") - (character == ")")
        return position + 1

    def _open_brace(self, position):
        head = self._head(position)
        kind = _container_kind(head) if self._parentheses == 0 else None
        if kind:
            is_class = kind in ("class", "struct", "union")
            opened = Class(self._line(self._start), " ".join(head.split())) if is_class else None
            if opened:
                self.classes.append(opened)
            self._open.append(opened)
            self._end_statement()
            return position + 1
        end = self._matching_brace(position)
        if self._parentheses == 0 and not _has_initializer(head):
            start = self._start if self._start is not None else position
            first = self._line(start)
            lines = self._line(end) - first + 1
            self.functions.append(Function(first, lines, " ".join(head.split())[:80]))
        following = self.code[end + 1 :].lstrip()[:1]
        # A function's body ends its statement; an initializer in braces does not.
        if self._parentheses == 0 and following not in ",;{)":
            self._end_statement()
        return end + 1

    def _matching_brace(self, position):
        depth = 0
        for match in re.compile(r"[{}]").finditer(self.code, position):
            depth += 1 if match.group() == "{" else -1
            if depth == 0:
                return match.start()
        return len(self.code) - 1

    def _count_member(self, head):
        if self._open and self._open[-1] and not _NOT_MEMBER.match(head) and _MEMBER.search(head):
            self._open[-1].members += 1


def measure(code):
    """(functions, classes) of C++ without comments and literals (source_tree.code_only)."""
    reader = _Reader(code).read()
    return reader.functions, reader.classes
