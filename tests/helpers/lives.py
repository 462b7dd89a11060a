"""What an agent does and becomes, to be held against another's."""

import numpy as np


def live_on(agent, windows, play_window, **shape):
    """Act and learn; return everything that can be seen of it."""
    seen = []
    for number in windows:
        window = play_window(agent, number, **shape)
        seen.append((window.actions.tolist(), agent.learn(window)))
    return seen, agent.get_state().arrays


def assert_same_lives(first, second):
    assert first[0] == second[0]
    assert first[1].keys() == second[1].keys()
    for name, array in first[1].items():
        np.testing.assert_array_equal(array, second[1][name], err_msg=name)
