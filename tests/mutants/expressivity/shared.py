"""How several chapters of the part are broken: what a function returns is changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mutants import Patch, replaced


def altered(owner: Any, attribute: str, change: Callable[..., Any]) -> Patch:
    """A patch under which ``owner.attribute`` returns ``change(what it returned, *arguments)``.

    Parameters
    ----------
    owner : object
        A module or class.
    attribute : str
    change : callable
        Gives the patch its name.
    """

    def wrapped(right):
        return lambda *args, **options: change(right(*args, **options), *args)

    return replaced(owner, attribute, wrapped, change.__name__)
