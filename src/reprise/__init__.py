"""Reprise: seventeen machine-learning papers you can rerun.

Each chapter of the book in ``book/`` is a notebook that calls the module of the same name here:
``book/shuffling/sgdo.md`` teaches ``reprise.shuffling.sgdo``.
"""

__version__ = "0.1.0"
