"""A worker that runs the tests' own tasks: `python -m support.worker --queue cpu`."""

import sys

from workers.tasks.registry import TASKS
from workers.worker import main

if __name__ == "__main__":
    names = dict.fromkeys(TASKS, "support.tasks:run")
    sys.exit(main(tasks=names, make_runtime=lambda settings: None))
