"""The rules of the house, read from the syntax trees of the sources; each rule is shown to bite on planted text.

Directions   pki <- wire <- gateway | hub | firmware_sim; the three programs never import each other.
Purity       pki (but for pki/service and pki/__main__.py) and wire: no clock, no I/O, no asyncio, no randomness.
One place    sqlite3 is used in gateway/store and hub/store; elsewhere it only names a type of value or error.
             Exception is caught in gateway/supervisor.py, nowhere else.
Habits       no forbidden module names, no mocks, a docstring in every module, a test for every error.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("pki", "wire", "gateway", "hub", "firmware_sim")
MAY_IMPORT = {
    "pki": {"pki"},
    "wire": {"wire", "pki"},
    "gateway": {"gateway", "wire", "pki"},
    "hub": {"hub", "wire", "pki"},
    "firmware_sim": {"firmware_sim", "wire", "pki"},
}
STORES = ("gateway/store/", "hub/store/", "pki/service/store/", "pki/service/pool/store")
SUPERVISOR = "gateway/supervisor.py"
# fmt: off
IMPURE_MODULES = frozenset({
    "aiohttp", "asyncio", "click", "concurrent", "contextvars", "fcntl", "fileinput", "getpass", "glob", "http",
    "importlib", "io", "locale", "logging", "mmap", "multiprocessing", "os", "pathlib", "pty", "queue", "random",
    "requests", "rich", "sched", "secrets", "select", "selectors", "shutil", "signal", "socket", "socketserver",
    "sqlite3", "ssl", "subprocess", "sys", "syslog", "tempfile", "threading", "time", "urllib", "warnings",
    "websockets", "zoneinfo",
})
IMPURE_METHODS = frozenset({
    "now", "utcnow", "today", "uuid1", "uuid4", "urandom", "read_text", "read_bytes", "write_text", "write_bytes",
})
# fmt: on
IMPURE_CALLS = frozenset({"open", "print", "input", "breakpoint", "exec", "eval", "__import__"})
_SUFFIX_NAMES = (
    "util",
    "utility",
    "helper",
    "common",
    "base",
    "core",
    "misc",
    "manager",
    "handler",
    "impl",
    "data",
    "info",
)
FORBIDDEN_NAMES = frozenset({"utilities", *_SUFFIX_NAMES, *(f"{name}s" for name in _SUFFIX_NAMES)})

Check = Callable[[str, ast.Module], Iterator[str]]


# --- the rules: each yields what is wrong with one file


def imported(tree: ast.AST, path: str) -> Iterator[tuple[int, str]]:
    """Every module that is imported anywhere in the tree, with its line; relative imports made absolute."""
    package = path.split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            yield node.lineno, ".".join([*above, *([node.module] if node.module else [])])


def check_directions(path: str, tree: ast.Module) -> Iterator[str]:
    """Imports point one way."""
    room = path.split("/")[0]
    for line, module in imported(tree, path):
        other = module.split(".")[0]
        if other in (*ROOMS, "tests", "certs") and other not in MAY_IMPORT[room]:
            yield f"{path}:{line}: {room} imports {module}"


def is_pure(path: str) -> bool:
    return path.startswith(("pki/", "wire/")) and not path.startswith("pki/service/") and path != "pki/__main__.py"


def check_purity(path: str, tree: ast.Module) -> Iterator[str]:
    """No I/O, no clock, no randomness, no asyncio where everything is an argument."""
    if not is_pure(path):
        return
    for line, module in imported(tree, path):
        if module.split(".")[0] in IMPURE_MODULES:
            yield f"{path}:{line}: imports {module}"
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.AsyncWith | ast.AsyncFor | ast.Await):
            yield f"{path}:{node.lineno}: is asynchronous"
        elif isinstance(node, ast.Name) and node.id in IMPURE_CALLS:
            yield f"{path}:{node.lineno}: uses {node.id}"
        elif isinstance(node, ast.Attribute) and node.attr in IMPURE_METHODS:
            yield f"{path}:{node.lineno}: uses .{node.attr}"
        elif is_local_zone(node):
            yield f"{path}:{node.lineno}: reads the local time zone"


def is_local_zone(node: ast.AST) -> bool:
    """`astimezone()` and `fromtimestamp(t)` without a zone ask the machine for its own."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.keywords:
        return False
    return len(node.args) < {"astimezone": 1, "fromtimestamp": 2}.get(node.func.attr, 0)


def type_names(tree: ast.Module) -> set[int]:
    """The ids of all nodes that stand in an annotation or say what is caught."""
    roots: list[ast.expr | None] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            roots.append(node.returns)
        elif isinstance(node, ast.arg | ast.AnnAssign):
            roots.append(node.annotation)
        elif isinstance(node, ast.ExceptHandler):
            roots.append(node.type)
    return {id(inner) for root in roots if root is not None for inner in ast.walk(root)}


def check_database(path: str, tree: ast.Module) -> Iterator[str]:
    """Only the stores speak to SQLite; others may hand a connection on and translate its errors."""
    if path.startswith(STORES):
        return
    named = type_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sqlite3":
            yield f"{path}:{node.lineno}: imports from sqlite3"
        elif isinstance(node, ast.Import) and any(a.name.startswith("sqlite3") and a.asname for a in node.names):
            yield f"{path}:{node.lineno}: renames sqlite3"
        elif isinstance(node, ast.Name) and node.id == "sqlite3" and id(node) not in named:
            yield f"{path}:{node.lineno}: uses sqlite3"


def check_exceptions(path: str, tree: ast.Module) -> Iterator[str]:
    """Nobody swallows what it does not know."""
    if path == SUPERVISOR:
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        names = {None if name is None else ast.unparse(name).split(".")[-1] for name in caught}
        if names & {None, "Exception", "BaseException"}:
            yield f"{path}:{node.lineno}: catches everything"


def check_names(path: str, tree: ast.Module) -> Iterator[str]:
    """A module is one noun, or the verb it decides."""
    for part in Path(path).with_suffix("").parts:
        if part.casefold() in FORBIDDEN_NAMES or (part == "service" and not path.startswith("pki/service/")):
            yield f"{path}: {part} is no name for a module"


def check_docstring(path: str, tree: ast.Module) -> Iterator[str]:
    """Every file says what it is for."""
    if tree.body and not (ast.get_docstring(tree) or "").strip():
        yield f"{path}: has no docstring"


def check_mocks(path: str, tree: ast.Module) -> Iterator[str]:
    """Fakes stand in tests/parts.py and are real objects; nothing is patched."""
    for line, module in imported(tree, path):
        if module.split(".")[0] in ("mock", "pytest_mock") or module.startswith("unittest.mock"):
            yield f"{path}:{line}: imports {module}"
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "unittest" and any(a.name == "mock" for a in node.names):
            yield f"{path}:{node.lineno}: imports unittest.mock"
        elif isinstance(node, ast.arg) and node.arg == "mocker":
            yield f"{path}:{node.lineno}: asks for mocker"


# --- the sources


@cache
def trees_of_rooms() -> dict[str, ast.Module]:
    """Every Python file of the five rooms by its path."""
    return {path: tree for room in ROOMS for path, tree in parsed(room).items()}


@cache
def trees_of_tests() -> dict[str, ast.Module]:
    """Every Python file of the tests but this one."""
    return {path: tree for path, tree in parsed("tests").items() if path != "tests/test_architecture.py"}


def parsed(folder: str) -> dict[str, ast.Module]:
    files = sorted((ROOT / folder).rglob("*.py"))
    return {file.relative_to(ROOT).as_posix(): ast.parse(file.read_text(encoding="utf-8")) for file in files}


def test_the_sources_are_found() -> None:
    assert {path.split("/")[0] for path in trees_of_rooms()} == set(ROOMS)
    assert len(trees_of_rooms()) > 80
    assert len(trees_of_tests()) > 20
    assert SUPERVISOR in trees_of_rooms()
    assert not [*(ROOT / "certs").rglob("*.py")], "certs holds files only"


@pytest.mark.parametrize(
    "check", [check_directions, check_purity, check_database, check_exceptions, check_names, check_docstring]
)
def test_the_rooms_keep_the_rule(check: Check) -> None:
    assert [found for path, tree in trees_of_rooms().items() for found in check(path, tree)] == []


@pytest.mark.parametrize("check", [check_mocks, check_names, check_docstring])
def test_the_tests_keep_the_rule(check: Check) -> None:
    assert [found for path, tree in trees_of_tests().items() for found in check(path, tree)] == []


# --- every error has a test


def error_classes(trees: dict[str, ast.Module]) -> dict[str, set[str]]:
    """The exception classes of the trees with the names of their bases, found through their inheritance."""
    bases = {
        node.name: {ast.unparse(base).split(".")[-1] for base in node.bases}
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    known = {"Exception", "ValueError", "RuntimeError", "OSError", "KeyError", "LookupError", "TypeError"}
    while True:
        found = {name for name, above in bases.items() if above & known} - known
        if not found:
            return {name: above for name, above in bases.items() if name in known}
        known |= found


def spoken_names(trees: dict[str, ast.Module]) -> set[str]:
    """Every name that code uses; a name in a comment, a docstring or an import alone says nothing."""
    names: set[str] = set()
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.Attribute):
                names.add(node.attr)
    return names


def literals(tree: ast.AST) -> set[str]:
    """The string literals of several words (or a kebab-case code) in a tree, the fixed parts of f-strings included."""
    texts = {
        node.value.strip() for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in texts if (" " in text and len(text) >= 12) or ("-" in text and len(text) >= 8)}


def words_of_errors(trees: dict[str, ast.Module]) -> dict[str, set[str]]:
    """What the raise statements say, by class: the fixed words in the call."""
    words: dict[str, set[str]] = {}
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                words.setdefault(ast.unparse(node.exc.func).split(".")[-1], set()).update(literals(node.exc))
    return words


def untested(errors: dict[str, set[str]], names: set[str], words: dict[str, set[str]], told: set[str]) -> list[str]:
    """Errors that no test names, and none of whose words a test expects, as one does that runs a whole program; the
    root of a tree of errors is tested through its branches."""
    parents = set().union(*errors.values()) if errors else set()
    silent = [name for name in errors if name not in names and name not in parents]
    return sorted(name for name in silent if not any(a in b or b in a for a in words.get(name, ()) for b in told))


def test_every_error_has_a_test_that_raises_it() -> None:
    told = set().union(*(literals(tree) for tree in trees_of_tests().values()))
    errors, names = error_classes(trees_of_rooms()), spoken_names(trees_of_tests())
    assert untested(errors, names, words_of_errors(trees_of_rooms()), told) == []


# --- each rule bites

PLANTED: list[tuple[Check, str, str]] = [
    (check_directions, "pki/x.py", "import wire"),
    (check_directions, "pki/x.py", "from wire.records import Token"),
    (check_directions, "wire/x.py", "import gateway.config"),
    (check_directions, "wire/x.py", "def f():\n    from hub import ingest"),
    (check_directions, "gateway/x.py", "import hub.store.database as d"),
    (check_directions, "hub/x.py", "from firmware_sim import meter"),
    (check_directions, "firmware_sim/x.py", "import wire, gateway"),
    (check_directions, "gateway/store/x.py", "from ...hub import ingest"),
    (check_directions, "gateway/x.py", "import tests.parts"),
    (check_purity, "pki/x.py", "import os"),
    (check_purity, "pki/verify/x.py", "from pathlib import Path"),
    (check_purity, "wire/x.py", "import asyncio"),
    (check_purity, "wire/x.py", "import http.client"),
    (check_purity, "wire/x.py", "def f():\n    import secrets"),
    (check_purity, "wire/x.py", "from time import time"),
    (check_purity, "wire/x.py", "import random, re"),
    (check_purity, "wire/ocpp/x.py", "import socket"),
    (check_purity, "wire/x.py", "open('f')"),
    (check_purity, "wire/x.py", "read = open"),
    (check_purity, "wire/x.py", "print(1)"),
    (check_purity, "wire/x.py", "__import__('os')"),
    (check_purity, "pki/x.py", "datetime.now(UTC)"),
    (check_purity, "pki/x.py", "dt.datetime.utcnow()"),
    (check_purity, "pki/x.py", "date.today()"),
    (check_purity, "pki/x.py", "tick = datetime.now"),
    (check_purity, "pki/x.py", "uuid.uuid4()"),
    (check_purity, "pki/x.py", "folder.read_bytes()"),
    (check_purity, "pki/x.py", "at.astimezone()"),
    (check_purity, "pki/x.py", "datetime.fromtimestamp(0)"),
    (check_purity, "wire/x.py", "async def f(): ..."),
    (check_database, "gateway/x.py", "import sqlite3\nsqlite3.connect('x')"),
    (check_database, "hub/web/x.py", "import sqlite3\nraise sqlite3.Error"),
    (check_database, "gateway/x.py", "from sqlite3 import connect"),
    (check_database, "gateway/x.py", "import sqlite3 as s\ns.connect('x')"),
    (check_database, "wire/x.py", "import sqlite3\nx = sqlite3"),
    (check_exceptions, "gateway/x.py", "try:\n    f()\nexcept Exception:\n    pass"),
    (check_exceptions, "hub/x.py", "try:\n    f()\nexcept:\n    pass"),
    (check_exceptions, "hub/x.py", "try:\n    f()\nexcept BaseException as error:\n    raise"),
    (check_exceptions, "wire/x.py", "try:\n    f()\nexcept (ValueError, Exception):\n    pass"),
    (check_exceptions, "pki/x.py", "try:\n    f()\nexcept builtins.Exception:\n    pass"),
    (check_names, "gateway/utils.py", ""),
    (check_names, "gateway/helpers/x.py", ""),
    (check_names, "hub/base.py", ""),
    (check_names, "wire/Manager.py", ""),
    (check_names, "tests/gateway/common.py", ""),
    (check_names, "hub/service/x.py", ""),
    (check_docstring, "wire/x.py", "import re"),
    (check_docstring, "wire/x.py", '"""  """\nimport re'),
    (check_mocks, "tests/x.py", "import unittest.mock"),
    (check_mocks, "tests/x.py", "from unittest import mock"),
    (check_mocks, "tests/x.py", "from unittest.mock import Mock"),
    (check_mocks, "tests/x.py", "import mock"),
    (check_mocks, "tests/x.py", "def test_it(mocker): ..."),
]


@pytest.mark.parametrize(("check", "path", "text"), PLANTED)
def test_the_rule_bites(check: Check, path: str, text: str) -> None:
    found = [*check(path, ast.parse(text))]
    assert found
    assert all(line.startswith(path) for line in found)


ALLOWED: list[tuple[Check, str, str]] = [
    (check_directions, "wire/x.py", "from pki.errors import PKIError\nimport wire.sync"),
    (check_directions, "gateway/store/x.py", "from . import database\nfrom ..clock import Clock\nimport pki, wire"),
    (check_purity, "pki/service/x.py", "import os\nopen('f')"),
    (check_purity, "pki/__main__.py", "import sys\nprint(1)"),
    (check_purity, "gateway/x.py", "import asyncio, time"),
    (check_purity, "wire/x.py", "import re, hashlib\nat.astimezone(UTC)\nnow = 5\ndatetime.fromtimestamp(0, UTC)"),
    (check_database, "gateway/store/x.py", "import sqlite3\nsqlite3.connect('x')"),
    (check_database, "gateway/x.py", "import sqlite3\ndef f(c: sqlite3.Connection) -> list[sqlite3.Row]: ..."),
    (check_database, "gateway/x.py", "import sqlite3\nclass S:\n    ledger: sqlite3.Connection"),
    (check_database, "hub/x.py", "import sqlite3\ntry:\n    pass\nexcept sqlite3.Error:\n    raise"),
    (check_exceptions, SUPERVISOR, "try:\n    f()\nexcept Exception:\n    pass"),
    (check_exceptions, "gateway/x.py", "try:\n    f()\nexcept (OSError, ExceptionGroup):\n    pass"),
    (check_names, "pki/service/files.py", ""),
    (check_names, "gateway/database.py", ""),
    (check_docstring, "wire/x.py", ""),
    (check_docstring, "wire/x.py", '"""What is spoken."""\nimport re'),
    (check_mocks, "tests/x.py", "import unittest\nfrom tests.parts import SetClock"),
]


@pytest.mark.parametrize(("check", "path", "text"), ALLOWED)
def test_the_rule_lets_pass_what_is_right(check: Check, path: str, text: str) -> None:
    assert [*check(path, ast.parse(text))] == []


def test_the_rule_about_errors_bites() -> None:
    source = "class Root(Exception): ...\nclass Leaf(Root): ...\nclass Odd(er.Leaf): ...\nclass Value: ...\n"
    source += "class Alone(ValueError): ..."
    errors = error_classes({"wire/x.py": ast.parse(source)})
    assert set(errors) == {"Root", "Leaf", "Odd", "Alone"}
    spoken = "from x import Odd\nwith raises(wire.Alone): ...  # Odd\n'''Odd'''"
    names = spoken_names({"tests/x.py": ast.parse(spoken)})
    assert untested(errors, names, {}, set()) == ["Odd"]
    assert untested(errors, {"Alone"}, {}, set()) == ["Odd"], "Leaf and Root are tested through what is made of them"
    assert untested(errors, {"Odd", "Alone"}, {}, set()) == []
    words = words_of_errors({"wire/x.py": ast.parse("raise er.Odd('odd-code', f'{a} stands on its head: {b}')")})
    assert words == {"Odd": {"odd-code", "stands on its head:"}}
    assert untested(errors, names, words, literals(ast.parse("match = 'stands on its head'"))) == []
    assert untested(errors, names, words, literals(ast.parse("match = 'stands on its feet'; code = 'odd'"))) == ["Odd"]
