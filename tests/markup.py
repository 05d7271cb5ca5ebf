"""HTML as tests read it."""

from __future__ import annotations

from html.parser import HTMLParser


class Tags(HTMLParser):
    """All start tags of a markup with their attributes."""

    def __init__(self, markup):
        super().__init__()
        self.found = []
        self.feed(markup)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def of(self, tag, **wanted):
        """Attributes of each such tag that has the wanted ones."""
        return [a for t, a in self.found if t == tag and wanted.items() <= a.items()]
