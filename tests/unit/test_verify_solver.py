"""What the solver says of conditions."""

from __future__ import annotations

from seamir.verify.solver import Solver
from seamir.verify.terms import bit_not, both, either, symbol


def test_an_unknown_flag_is_a_condition() -> None:
    """The flags after the instruction are unknown bits, and code may branch on one as it is."""
    flag, other = symbol("cf", 1), symbol("zf", 1)
    solver = Solver(None)
    assert solver.is_possible(flag) and solver.is_possible(bit_not(flag, 1))
    assert not solver.is_certain(flag)
    assert solver.is_certain(either(flag, bit_not(flag, 1)))
    assert solver.is_possible(both(flag, bit_not(other, 1)))
    assert solver.model(flag, bit_not(other, 1)) == {"cf": 1, "zf": 0}
