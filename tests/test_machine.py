"""The machine's rate: a rate, and nothing left changed."""

from __future__ import annotations

import time

import pytest
import torch

from bambino.runs.machine import matrix_rate


def test_the_rate_counts_the_products_of_all_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(left: torch.Tensor, right: torch.Tensor, out: torch.Tensor) -> None:
        time.sleep(0.01)

    monkeypatch.setattr(torch, "mm", slow)
    # A product of 100 x 200 by 200 x 500 costs 2 * 10^7 operations. At 10 ms or a little more each:
    # 2 GFLOP/s or a little less for one worker, twice that for two.
    one, two = (matrix_rate(workers, seconds=0.2, shape=(100, 200, 500)) for workers in (1, 2))
    assert 1.0 < one <= 2.0
    assert 2.0 < two <= 4.0


def test_a_measured_rate_is_one_a_computer_can_have_and_threads_are_as_before() -> None:
    before = torch.get_num_threads()
    begin = time.perf_counter()
    assert 0.1 < matrix_rate(seconds=0.1) < 100_000
    assert time.perf_counter() - begin < 2
    assert torch.get_num_threads() == before
