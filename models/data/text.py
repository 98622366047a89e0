"""Text that users gave, within formats where some characters mean more than themselves. Pure."""

import json
import re


def quoted(text: str) -> str:
    """A string of YAML's double-quoted style, whatever the text holds."""
    return "".join(
        char if char.isprintable() else f"\\U{ord(char):08x}"
        for char in json.dumps(text, ensure_ascii=False)
    )


def plain(text: str) -> str:
    """Text that stays text within Markdown: no markup, no cell borders, one line."""
    return re.sub(r"([\\`*_\[\]{}<>&|~!#])", r"\\\1", " ".join(text.split()))
