"""What is tidy here: sizes, guards, whitespace, names, first includes. A check returns lines for
people, none if all is well.
"""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tree"))
import source_tree  # noqa: E402 (found through the line above)

import cpp_blocks  # noqa: E402

MAX_LINES = 500
MAX_TEST_LINES = 800
MAX_FUNCTION_LINES = 70
MAX_DATA_MEMBERS = 20
MAX_COLUMNS = 100

CPP = (".h", ".cc")
CODE = (*CPP, ".py", ".bzl", ".sh")

# Spelled so that this file does not contain what it looks for.
_WORDS = ("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")
_NOTES = re.compile(r"\b(" + "|".join(_WORDS) + r")\b")


def is_code(path, text):
    """True for sources, BUILD files and scripts, which have no suffix but a first line."""
    name = path.rpartition("/")[2]
    return path.endswith(CODE) or name in ("BUILD.bazel", "WORKSPACE") or text.startswith("#!")


def is_test_data(path):
    """Inputs of tests may look as they like."""
    return "testdata" in path.split("/")


def check_whitespace(path, text):
    problems = []
    for number, line in enumerate(text.split("\n"), 1):
        if "\t" in line:
            problems.append(f"{path}:{number}: tab")
        if "\r" in line:
            problems.append(f"{path}:{number}: carriage return")
        elif line != line.rstrip():
            problems.append(f"{path}:{number}: space at the end of the line")
    if text and not text.endswith("\n"):
        problems.append(f"{path}: no newline at the end")
    if text.endswith("\n\n"):
        problems.append(f"{path}: empty line at the end")
    return problems


def check_notes(path, text):
    return [
        f"{path}:{number}: {match.group()}: do it or write it into an issue"
        for number, line in enumerate(text.splitlines(), 1)
        for match in _NOTES.finditer(line)
    ]


def check_columns(path, text):
    return [
        f"{path}:{number}: {len(line)} columns, {MAX_COLUMNS} at most"
        for number, line in enumerate(text.splitlines(), 1)
        if len(line) > MAX_COLUMNS and not re.search(r"https?://\S{60}", line)
    ]


def check_length(path, text):
    lines = text.count("\n")
    limit = MAX_TEST_LINES if path.startswith("tests/") else MAX_LINES
    return [f"{path}: {lines} lines, {limit} at most"] if lines > limit else []


def check_name(path):
    name = path.rpartition("/")[2]
    return [] if re.fullmatch(r"[a-z0-9_]+\.(h|cc)", name) else [f"{path}: not snake_case"]


def check_guard(path, text):
    if not path.endswith(".h"):
        return []
    guard = re.sub(r"[/.]", "_", path).upper() + "_"
    directives = re.findall(r"^#.*", text, re.MULTILINE)
    good = directives[:2] == [f"#ifndef {guard}", f"#define {guard}"] and text.endswith(
        f"\n#endif  // {guard}\n"
    )
    return [] if good else [f"{path}: its guard is not {guard}"]


def check_blocks(path, text):
    """Sizes of functions and classes."""
    functions, classes = cpp_blocks.measure(source_tree.code_only(text))
    too_large = [
        (function, f"{function.lines} lines, {MAX_FUNCTION_LINES} at most")
        for function in functions
        if function.lines > MAX_FUNCTION_LINES
    ]
    too_large += [
        (found, f"{found.members} data members, {MAX_DATA_MEMBERS} at most")
        for found in classes
        if found.members > MAX_DATA_MEMBERS
    ]
    return [f"{path}:{block.line}: {what}: {block.head}" for block, what in too_large]


def first_include(text):
    """The path of the first include, or None."""
    found = source_tree.includes(text)
    return found[0].path if found else None


def check_own_header_first(path, text, all_paths):
    """A source includes the header of its name first: so the header is compiled on its own."""
    header = re.sub(r"\.cc$", ".h", path)
    if not path.endswith(".cc") or header not in all_paths or first_include(text) == header:
        return []
    return [f"{path}: its first include is not {header}"]


def headers_not_first(texts):
    """Headers that no source includes first, so that nothing compiles them on their own.

    `texts` maps the paths of all C++ files to what they say.
    """
    first = {first_include(text) for path, text in texts.items() if path.endswith(".cc")}
    return sorted(path for path in texts if path.endswith(".h") and path not in first)


def check_file(path, text, all_paths):
    """Every check of one file that needs no other program."""
    problems = check_notes(path, text)
    if not is_test_data(path):
        problems += check_whitespace(path, text)
    if is_code(path, text):
        problems += check_columns(path, text) + check_length(path, text)
    if path.endswith(CPP):
        problems += check_name(path) + check_guard(path, text) + check_blocks(path, text)
        problems += check_own_header_first(path, text, all_paths)
    return problems
