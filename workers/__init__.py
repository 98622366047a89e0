"""The method as jobs: store, queue, progress, and a process that keeps its networks warm."""
