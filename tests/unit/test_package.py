"""The package as a whole: what imports what, and what every public function says of itself."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

import reprise

ROOT = Path(reprise.__file__).parent
FILES = {
    ".".join(["reprise", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(
        ".__init__"
    ): path
    for path in sorted(ROOT.rglob("*.py"))
}
PARTS = ("shuffling", "expressivity", "robustness", "foundation")


def imports_of(name):
    """Modules of the package that a module imports, at its top or inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(FILES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {module for module in inner if module in FILES} or {node.module}
    return {module for module in found if module in FILES} - {name}


def test_no_module_imports_itself_in_a_circle():
    graph = {name: imports_of(name) for name in FILES}
    done = set()

    def visit(name, path):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, [*path, name])
            done.add(name)

    for name in graph:
        visit(name, [])


def test_parts_do_not_know_each_other():
    for name in FILES:
        part = name.split(".")[1] if "." in name else ""
        others = {o.split(".")[1] for o in imports_of(name) if "." in o} & set(PARTS)
        assert others <= ({part} if part in PARTS else set()), name


def test_chapters_of_a_part_and_the_frame_depend_one_way():
    """Kernels know nothing of pages: only ``page`` modules import notebooks and widgets."""
    for name in FILES:
        if name.split(".")[1:2] and name.split(".")[1] in PARTS and not name.endswith(".page"):
            known = imports_of(name)
            assert not known & {"reprise.notebook", "reprise.interactive", "reprise.ledger"}, name


def public_functions():
    """Name -> function or class, of all that modules define and do not hide."""
    for name in FILES:
        module = importlib.import_module(name)
        for key, value in vars(module).items():
            function = getattr(value, "py_func", value)  # of a compiled one, its source
            own = getattr(function, "__module__", None) == name
            if own and not key.startswith("_") and callable(function):
                yield f"{name}.{key}", function


FUNCTIONS = dict(public_functions())


def test_every_public_function_says_what_it_does():
    silent = [name for name, f in FUNCTIONS.items() if not (f.__doc__ or "").strip()]
    assert not silent


def test_generators_are_given_by_name_and_never_made_up():
    loose = []
    for name, function in FUNCTIONS.items():
        if inspect.isclass(function) and issubclass(function, Exception):
            continue
        rng = inspect.signature(function).parameters.get("rng")
        if rng is not None and (
            rng.kind is not inspect.Parameter.KEYWORD_ONLY
            or rng.default not in (inspect.Parameter.empty, None)
        ):
            loose.append(name)
    assert not loose
