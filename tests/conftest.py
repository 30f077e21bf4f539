"""What all tests need of pytest."""

import os
import time

import pytest

pytest_plugins = ["pytester"]


def pytest_configure(config: pytest.Config) -> None:
    """Says what is wrong where the package is not installed, or an older state of it is.

    Also chooses where new random tests begin, which workers inherit.
    """
    if not config.pluginmanager.hasplugin("seamir"):
        raise pytest.UsageError(
            "these tests need the plugin of seamir: install the package again, as `make test` "
            "does, and run pytest without `-p no:seamir`"
        )
    os.environ.setdefault("SEAMIR_SEED", str(int(time.time())))


def pytest_report_header() -> str:
    """Names the seed, so that a failure can be had again."""
    return f"seed of new random tests: SEAMIR_SEED={os.environ['SEAMIR_SEED']}"
