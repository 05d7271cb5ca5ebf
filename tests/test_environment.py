"""The environment is pinned once, and every file that names a version agrees."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml


def canonical(name):
    """A distribution's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def pins(root):
    """Name -> version of constraints.txt."""
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonical(name): version for name, version in pairs}


@pytest.fixture(scope="module")
def project(root):
    """pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


def direct(project):
    """Names of everything that pyproject.toml asks for."""
    extras = project["project"]["optional-dependencies"]
    wanted = project["project"]["dependencies"] + [r for group in extras.values() for r in group]
    return {canonical(re.match(r"[\w.-]+", requirement)[0]) for requirement in wanted}


def test_every_direct_dependency_is_pinned(project, pins):
    assert direct(project) <= pins.keys()


def test_conda_environment_has_the_same_pins(root, project, pins):
    environment = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))
    (pip,) = (d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    listed = dict(line.split("==") for line in pip if "==" in line)
    assert {canonical(n): v for n, v in listed.items()} == {n: pins[n] for n in direct(project)}


def test_conda_environment_has_an_allowed_python(root, project):
    environment = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))
    python = next(d for d in environment["dependencies"] if str(d).startswith("python="))
    minor = int(python.partition("=3.")[2])
    assert minor >= int(project["project"]["requires-python"].removeprefix(">=3."))


def test_torch_stays_on_the_release_without_cuda_packages(pins):
    assert pins["torch"] == "2.13.0"
    assert not [name for name in pins if name.startswith(("nvidia-", "cuda-"))]


def test_installed_versions_are_the_pinned_ones(pins):
    from importlib.metadata import PackageNotFoundError, version

    for name, pinned in pins.items():
        try:
            assert version(name).split("+")[0] == pinned, name
        except PackageNotFoundError:
            continue  # a constraint binds only what is installed
