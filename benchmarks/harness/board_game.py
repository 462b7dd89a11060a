"""A board game with illegal moves, against an opponent that always replies alike: the best score is known."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import gymnasium as gym
import numpy as np

from harness.masked_envs import IllegalActionError

VALUES = ((3, 1, 4, 1, 5, 9), (2, 6, 5, 3, 5, 8))
"""What the cells of either row are worth."""

COLUMN_BONUS = 4
"""For owning both cells of a column."""

NUM_COLUMNS = len(VALUES[0])
FREE, OWN, OTHER = 0, 1, 2

Board = tuple[tuple[int, ...], tuple[int, ...]]


class TwinRows(gym.Env[Any, Any]):
    """Two rows of six cells, taken in turns: a move takes one free cell in each row, ``MultiDiscrete([6, 6])``.

    The opponent opens anywhere, and then takes the most valuable free cell of each row. The board full, the player is
    paid what its cells are worth, as a share of the most that could be had after that opening: 1 is optimal play.
    ``info["action_mask"]`` tells the free cells; taking any other raises :class:`IllegalActionError`.
    """

    observation_space = gym.spaces.Box(0.0, 1.0, (4 * NUM_COLUMNS,), np.float32)
    action_space = gym.spaces.MultiDiscrete([NUM_COLUMNS, NUM_COLUMNS])

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Let the opponent open."""
        super().reset(seed=seed)
        opening = tuple(int(column) for column in self.np_random.integers(0, NUM_COLUMNS, 2))
        self._board = moved(((FREE,) * NUM_COLUMNS,) * 2, opening, OTHER)
        self._best = best_score(self._board)
        return self._seen(), self._info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take a cell in each row, and let the opponent reply."""
        if any(row[column] != FREE for row, column in zip(self._board, action, strict=True)):
            raise IllegalActionError(f"{action!r} was taken where {self._info()['action_mask']} is allowed")
        self._board = moved(self._board, tuple(map(int, action)), OWN)
        self._board = replied(self._board)
        over = FREE not in self._board[0]
        reward = score(self._board) / self._best if over else 0.0
        return self._seen(), reward, over, False, self._info()

    def _seen(self) -> Any:
        cells = np.array(self._board)
        return np.concatenate([(cells == OWN).ravel(), (cells == OTHER).ravel()]).astype(np.float32)

    def _info(self) -> dict[str, Any]:
        return {"action_mask": (np.array(self._board) == FREE).astype(np.int8).ravel()}


def moved(board: Board, columns: tuple[int, ...], by: int) -> Board:
    """Return the board with a cell of each row taken."""
    top, bottom = (
        tuple(by if place == column else cell for place, cell in enumerate(row))
        for row, column in zip(board, columns, strict=True)
    )
    return top, bottom


def replied(board: Board) -> Board:
    """Return the board after the opponent's reply: the most valuable free cells."""
    if FREE not in board[0]:
        return board
    rows = zip(board, VALUES, strict=True)
    return moved(board, tuple(max(free_cells(row), key=lambda c, worth=worth: worth[c]) for row, worth in rows), OTHER)


def free_cells(row: tuple[int, ...]) -> list[int]:
    """Return the free columns of a row."""
    return [column for column, cell in enumerate(row) if cell == FREE]


def score(board: Board) -> int:
    """Return what the player's cells are worth."""
    own = [(cells, worth) for cells, worth in zip(board, VALUES, strict=True)]
    cells_worth = sum(value for cells, worth in own for cell, value in zip(cells, worth, strict=True) if cell == OWN)
    columns = sum(top == bottom == OWN for top, bottom in zip(*board, strict=True))
    return cells_worth + COLUMN_BONUS * columns


@functools.cache
def best_score(board: Board) -> int:
    """Return the most that can be had from a position in which it is the player's turn, by trying everything."""
    if FREE not in board[0]:
        return score(board)
    moves = itertools.product(free_cells(board[0]), free_cells(board[1]))
    return max(best_score(replied(moved(board, move, OWN))) for move in moves)
