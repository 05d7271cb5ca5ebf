"""Broken implementations as data: each must turn a verdict of its chapter.

A chapter's table is the list ``MUTANTS`` of ``mutants/<part>/<slug>.py``. ``test_mutants.py`` runs
them all through the chapter's own cells, so that no table types a rule of a chapter again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Mutant:
    """One broken implementation, and the claim that must not survive it.

    Attributes
    ----------
    claim : str
        The claim's id.
    patch : callable
        Breaks the package, given a monkeypatch.
    name : str
        By default the patch's own.
    parts : tuple of str
        Parts of the claim of which each must fail; none: any may.
    profile : str
        The smallest at which the mutant is caught.
    changes : mapping
        Parameters that differ from that profile's, the same for the right implementation.
    raises : type of exception, optional
        The documented error that the mutant may meet instead of a verdict.
    """

    claim: str
    patch: Patch
    name: str = ""
    parts: tuple[str, ...] = ()
    profile: str = "smoke"
    changes: Mapping[str, Any] = field(default_factory=dict)
    raises: type[Exception] | None = None

    def __str__(self) -> str:
        return f"{self.claim}-{self.name or self.patch.__name__.strip('_')}"


def named(name: str, patch: Patch) -> Patch:
    """Give a patch that a function made a name of its own."""
    patch.__name__ = name
    return patch


def replaced(owner: Any, attribute: str, change: Callable[[Any], Any], name: str = "") -> Patch:
    """A patch that sets ``owner.attribute`` to ``change(what it was)``.

    Parameters
    ----------
    owner : object
        A module or class.
    attribute : str
    change : callable
        Takes the right implementation and returns the broken one.
    name : str
        Of the patch, by default that of ``change``.
    """

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(owner, attribute, change(getattr(owner, attribute)))

    return named(name or change.__name__, patch)
