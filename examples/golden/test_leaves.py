"""Keeps what seamir makes of leaves.seam in the folder golden, beside this file."""

import pytest

from seamir.pytest_plugin import Golden


@pytest.mark.parametrize("target", ["linux-kernel", "linux-user"])
def test_leaves(seamir_golden: Golden, target: str) -> None:
    made = seamir_golden("leaves.seam", target=target)
    assert len(made.code("tdh_mem_page_remove")) <= 128, "more than two cache lines"
