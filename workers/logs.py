"""How processes log: structured, to standard error; for people or for collectors."""

import logging
import sys
from typing import Literal

import structlog


def configure_logs(form: Literal["console", "json"]) -> None:
    """Send our events, and the warnings of libraries, to standard error.

    Values bound with `structlog.contextvars` (a job's id, a request's) are in every line.
    """
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=_last(form), foreign_pre_chain=shared)
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for ours in ("workers", "service", "models"):
        logging.getLogger(ours).setLevel(logging.INFO)
    # It tells in four lines what we tell in one.
    logging.getLogger("rq.worker").setLevel(logging.WARNING)


def _last(form: str) -> list[structlog.types.Processor]:
    """What turns an event into a line; what local variables held stays out of tracebacks.

    There may be secrets among them, and to describe a network's tensors takes many seconds.
    """
    drop = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if form == "json":
        told = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        render = structlog.processors.ExceptionRenderer(told)
        return [drop, render, structlog.processors.JSONRenderer()]
    plain, colours = structlog.dev.plain_traceback, sys.stderr.isatty()
    return [drop, structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain)]
