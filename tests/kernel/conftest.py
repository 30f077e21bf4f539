"""What the tests with real kernels have in common."""

from __future__ import annotations

import pytest
from kernels import KERNELS, Kernel, Row, need_kernel

ROWS = [row for row in KERNELS if row.is_of_this_machine] or KERNELS


@pytest.fixture(scope="session", params=ROWS, ids=lambda row: row.name)
def kernel(request: pytest.FixtureRequest) -> Kernel:
    """Each kernel that this distribution has."""
    row = request.param
    assert isinstance(row, Row)
    return need_kernel(row)
