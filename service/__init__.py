"""The jobs as HTTP: API, client and command line. Never imports torch."""
