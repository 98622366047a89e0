"""A campaign of faults: real processes, real Redis, S3 servers, and a pipeline amid it all."""

import sys
from pathlib import Path

# The servers that tests start are found as `support`, as pytest finds them.
sys.path.insert(0, str(Path(__file__).parents[1]))
