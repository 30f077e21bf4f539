"""Options that several kinds of test share."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the switch that rewrites what golden tests expect."""
    parser.addoption(
        "--seamir-update-golden",
        action="store_true",
        help="write what golden tests expect from what the compiler makes now",
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be rewritten rather than compared."""
    return bool(request.config.getoption("--seamir-update-golden"))
