"""Files of strangers that lie in memory."""

from models.errors import InvalidImage


class MemoryFiles:
    """
    A `models.data.labelled.Files` of the given contents by name; `opened` lists what was read.
    """

    def __init__(self, contents, name="archive"):
        self.name = name
        self.names = tuple(sorted(contents))
        self.opened = []
        self._contents = contents

    def read(self, name):
        self.opened.append(name)
        content = self._contents[name]
        if isinstance(content, InvalidImage):
            raise content
        return content
