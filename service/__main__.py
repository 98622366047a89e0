"""`python -m service`: the API as a process, on this machine only unless told otherwise."""

import logging
import sys

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

from service.app import create_app
from service.auth import refusal_to_bind
from service.services import Services
from service.settings import ServiceSettings
from workers.errors import WorkersError
from workers.logs import configure_logs

EXIT_SETTINGS = 2
_KEEP_ALIVE_SECONDS = 65  # Longer than proxies in front keep theirs.


def main() -> int:
    """Serve until a signal; `EXIT_SETTINGS` where the settings are wrong or forbid it."""
    try:
        settings = ServiceSettings()
        app = create_app(settings)
        if refusal := _refusal(app, settings):
            return _refuse(refusal)
    except ValidationError as error:
        return _refuse(*(f"{_variable(e['loc'])}: {e['msg']}" for e in error.errors()))
    except (ValueError, WorkersError) as error:
        return _refuse(str(error))
    configure_logs(settings.log_format)
    logging.getLogger("uvicorn.error").setLevel(logging.INFO)  # It tells where it listens.
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,  # Ours is configured above.
        access_log=False,  # The middleware writes a better one.
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        # Without it an open event stream would keep the process for ever.
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    return 0


def _refusal(app: FastAPI, settings: ServiceSettings) -> str | None:
    """Why the service must not listen where it is told to; the bucket is asked where it matters."""
    if refusal_to_bind(settings.host, settings.allow_remote) is None:
        return None
    services: Services = app.state.services
    return refusal_to_bind(settings.host, settings.allow_remote, services.door.is_guarded())


def _variable(location: tuple[int | str, ...]) -> str:
    return "HANDSOFF_" + "_".join(str(part) for part in location).upper()


def _refuse(*reasons: str) -> int:
    for reason in reasons:
        sys.stderr.write(f"handsoff: {reason}\n")
    return EXIT_SETTINGS


if __name__ == "__main__":
    sys.exit(main())
