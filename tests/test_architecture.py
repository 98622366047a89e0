"""Rules about the tree that no other test would notice being broken."""

import re
import subprocess
import sys
from pathlib import Path

NO_TORCH = """
import sys
from pathlib import Path

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {'torch', 'torchvision', 'lpips'}:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)

sys.meta_path.insert(0, Absent())
"""

START = """
from service.app import create_app
from service.settings import ServiceSettings
import service.__main__

settings = ServiceSettings(redis_url='unix:///nowhere', store_url=f'file://{sys.argv[1]}')
document = create_app(settings).openapi()
assert len(document['paths']) > 20
"""


def test_the_service_does_without_torch(tmp_path):
    """
    The service's image has no torch. It was once imported through a parameter's class that had
    moved next to the code that uses it: here torch cannot be imported, and the service starts.
    """
    code = NO_TORCH + START
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path)], capture_output=True, text=True
    )

    assert result.returncode == 0, result.stderr


def test_importing_does_nothing():
    """
    Importing the service reads no settings, opens no connection, configures no logging.
    """
    code = (
        "import logging, service.app, service.__main__;"
        "assert not logging.root.handlers;"
        "import structlog; assert not structlog.is_configured()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PATH": ""}
    )

    assert result.returncode == 0, result.stderr


def test_the_readme_names_files_that_are_there():
    """
    README's map of the tree leads somewhere: every path in it exists.
    """
    root = Path(__file__).parents[1]
    table = (
        (root / "README.md").read_text().partition("## Where things are")[2].partition("\n## ")[0]
    )
    paths = re.findall(r"`((?:service|workers|models|tests)/[\w/.]+)`", table)

    assert len(paths) > 15
    assert [path for path in paths if not (root / path).exists()] == []
