"""A worker that runs the tests' own tasks: `python -m support.worker --queue cpu`."""

import sys

from support.tasks import TABLE

from workers.worker import main

if __name__ == "__main__":
    sys.exit(main(tasks=TABLE, make_runtime=lambda settings: None))
