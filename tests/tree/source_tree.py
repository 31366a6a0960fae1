"""The project's files, and readers for what they say: includes, code without comments, targets.

Tests that use this read the checkout itself, not Bazel's copy of declared inputs: a file nobody
declared is read too. Their BUILD targets are therefore tagged "external" (never cached) and
"local".
"""

import ast
import dataclasses
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def files(*suffixes):
    """Paths, relative to the root, of tracked and not yet tracked files, sorted.

    With `suffixes` only those that end so. Without git: every file that is not Bazel's.
    """
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        paths = set(listed.stdout.splitlines())
    except (OSError, subprocess.CalledProcessError):
        paths = {str(path.relative_to(ROOT)) for path in _walk(ROOT)}
    return sorted(
        path for path in paths if path.endswith(suffixes or "") and (ROOT / path).is_file()
    )


def _walk(directory):
    for path in directory.iterdir():
        if path.name.startswith("bazel-") or path.name in (".git", "__pycache__"):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        elif path.is_file():
            yield path


def read(path):
    """The text of a file, or None if it is not text."""
    data = (ROOT / path).read_bytes()
    if b"\0" in data:
        return None
    return data.decode("utf-8", errors="replace")


# C++


@dataclasses.dataclass(frozen=True)
class Include:
    line: int
    path: str
    quoted: bool  # "…" rather than <…>


def includes(text):
    """The includes of a C++ file, in order."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
        if match:
            found.append(Include(number, match.group(2), match.group(1) == '"'))
    return found


_CPP_PIECES = re.compile(
    r"""
      (?P<comment> //[^\n]* | /\*.*?\*/ )
    | (?P<raw> R"(?P<delimiter>[^()\s]*)\(.*?\)(?P=delimiter)" )
    | (?P<string> "(?:\\.|[^"\\\n])*" )
    | (?P<character> (?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+' )
    | (?P<directive> (?:(?<=\n)|\A)[ \t]*\#(?:\\\n|[^\n])* )
    """,
    re.VERBOSE | re.DOTALL,
)


def code_only(text):
    """C++ with comments, literals and preprocessor lines blanked; lines and columns stay."""
    return _CPP_PIECES.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


# BUILD files


@dataclasses.dataclass(frozen=True)
class Target:
    label: str
    rule: str
    line: int
    deps: tuple  # labels, absolute
    tags: tuple

    @property
    def package(self):
        return self.label[2:].split(":")[0]


def absolute_label(label, package):
    """//a/b:c for ":c", "c" and "//a/b:c"; "//a/b" means //a/b:b."""
    if label.startswith("@"):
        return label
    if not label.startswith("//"):
        return f"//{package}:{label.lstrip(':')}"
    if ":" not in label:
        return f"{label}:{label.rsplit('/', 1)[-1]}"
    return label


def targets(text, package):
    """The targets of a BUILD file. It is read as Python, not run.

    Lists that are not written out (from a variable, a select) count with every string in them.
    """
    variables = {}
    tree = ast.parse(text)
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            variables[node.targets[0].id] = node.value
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        arguments = {keyword.arg: keyword.value for keyword in node.keywords}
        if "name" not in arguments:
            continue
        deps = [
            label
            for attribute in ("deps", "implementation_deps", "exports", "actual")
            for label in _strings(arguments.get(attribute), variables)
        ]
        name = "".join(_strings(arguments["name"], variables)) or f"line{node.lineno}"
        found.append(
            Target(
                label=f"//{package}:{name}",
                rule=node.func.id,
                line=node.lineno,
                deps=tuple(absolute_label(label, package) for label in deps),
                tags=tuple(_strings(arguments.get("tags"), variables)),
            )
        )
    return found


def _strings(node, variables):
    """The strings in an expression; of a select those that are chosen, not the conditions."""
    if node is None:
        return []
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.Name):
        return _strings(variables.get(node.id), {})
    if isinstance(node, ast.Dict):
        return [text for value in node.values for text in _strings(value, variables)]
    return [text for child in ast.iter_child_nodes(node) for text in _strings(child, variables)]
