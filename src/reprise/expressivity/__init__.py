"""Expressivity: what networks can represent, and what hides in random ones."""
