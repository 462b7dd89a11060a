"""The board game that benchmarks teach: its best score is the best, and no illegal move goes through."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from harness.board_game import FREE, OWN, TwinRows, best_score, free_cells, moved, replied, score
from harness.masked_envs import IllegalActionError


def every_score(board: tuple[tuple[int, ...], ...]) -> list[int]:
    """Return the scores of all ways to play on, without any memory."""
    if FREE not in board[0]:
        return [score(board)]  # type: ignore[arg-type]
    moves = itertools.product(free_cells(board[0]), free_cells(board[1]))
    return [s for move in moves for s in every_score(replied(moved(board, move, OWN)))]  # type: ignore[arg-type]


def test_the_best_score_is_the_best_of_all() -> None:
    env = TwinRows()
    env.reset(seed=0)
    scores = every_score(env._board)
    assert len(scores) == (5 * 3) ** 2
    assert best_score(env._board) == max(scores)
    assert scores.count(max(scores)) < len(scores) // 10


def test_the_best_moves_pay_1() -> None:
    env = TwinRows()
    for seed in range(10):
        env.reset(seed=seed)
        over, reward = False, 0.0
        while not over:
            moves = itertools.product(free_cells(env._board[0]), free_cells(env._board[1]))
            best = max(moves, key=lambda move: best_score(replied(moved(env._board, move, OWN))))
            _, reward, over, _, _ = env.step(np.array(best))
        assert reward == 1.0


def test_a_cell_that_is_taken_cannot_be_taken() -> None:
    env = TwinRows()
    _, info = env.reset(seed=0)
    taken = int(np.flatnonzero(info["action_mask"][:6] == 0)[0])
    free = int(np.flatnonzero(info["action_mask"][6:])[0])
    with pytest.raises(IllegalActionError):
        env.step(np.array([taken, free]))
