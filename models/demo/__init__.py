"""A procedural domain of faces with exact labels of every kind, and its small generator."""
