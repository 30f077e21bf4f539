"""What all tests need of pytest."""

import pytest

pytest_plugins = ["pytester"]


def pytest_configure(config: pytest.Config) -> None:
    """Says what is wrong where the package is not installed, or an older state of it is."""
    if not config.pluginmanager.hasplugin("seamir"):
        raise pytest.UsageError(
            "these tests need the plugin of seamir: install the package again, as `make test` "
            "does, and run pytest without `-p no:seamir`"
        )
