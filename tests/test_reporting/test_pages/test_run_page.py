"""The report on a run: one file that needs nothing else, whatever its run can tell."""

import io
import re

import gymnasium as gym
import pytest
from PIL import Image
from written_runs import rewrite, write_run

from tensor_optix.exceptions import CheckpointError
from tensor_optix.reporting.pages.html_page import MOST_BYTES
from tensor_optix.reporting.pages.run_page import write_report

SECTIONS = ["Learning curve", "Champions", "Trials and challenges", "Alarms", "Film", "Hyperparameters"]
SECTIONS += ["Losses and the like", "Speed, and where the time went", "The same again", "Settings and versions"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    parent = tmp_path_factory.mktemp("runs")
    entries = [
        {"kind": "champion", "windows": 5, "window": 4, "score": 5.0, "greedy_mean": 4.5, "greedy_episodes": 5},
        {"kind": "alarm", "windows": 7, "window": 6, "score": 2.0},
        {"kind": "trial", "windows": 9, "hyperparams": {"gamma": 0.5}},
    ]
    plan = {"env_id": "CartPole-v1", "seed": 0, "max_env_steps": 4000, "algorithm": "ppo"}
    rates = [0.001 * (i + 1) for i in range(40)]
    scores = [float(i) for i in range(40)]
    path = write_run(parent, scores, entries=entries, plan=plan, learning_rate=rates, baseline=(1.0, 2.5, 3.0))
    env = gym.make("CartPole-v1", render_mode="rgb_array")
    page = write_report(path, parent / "out", agent=lambda observation: 0, env=env)
    env.close()
    return page, page.read_text(encoding="utf-8")


def test_all_that_a_run_tells_is_on_the_page(written):
    _, page = written
    assert re.findall("<h2>(.*?)</h2>", page) == SECTIONS
    for part in (
        "CartPole-v1 · PPOAgent · run-0001",
        "Trained: nothing more was to be gained. The champion reaches a mean return of 11.00 (95 % interval",
        "The baseline reaches 2.17 in the same episodes",
        "Why it ended: the loop went DORMANT.",
        "4,080 (4,000 training, 50 evaluation, 30 report)",
        "40.0 seconds",
        "4.50 (5 episodes)",
        "gamma = 0.5",
        "python 3.11.7",
        "max_env_steps = 10000",
        "One greedy episode of the champion",
    ):
        assert part in page, part
    command = re.sub("<.*?>", "", re.search("<pre>(.*?)</pre>", page)[1])
    assert command == "tensor-optix train CartPole-v1 --algorithm ppo --seed 0 --max-env-steps 4000"


def test_it_needs_no_network_and_can_be_sent(written):
    path, page = written
    assert path.stat().st_size < MOST_BYTES
    places = re.findall(r'(?:src|srcset|href)="(.{11})', page)
    assert len(places) == 5 * 2 + 1
    assert set(places) == {"data:image/"}


def test_its_pictures_lie_beside_it(written):
    names = {path.name for path in written[0].parent.iterdir()}
    pngs = ("learning_curve", "learning_curve_over_time", "hyperparameters", "losses", "time_spent")
    assert names == {"report.html", "film.gif", *(f"{name}.png" for name in pngs)}
    film = Image.open(io.BytesIO((written[0].parent / "film.gif").read_bytes()))
    assert film.n_frames > 1


def test_what_a_run_does_not_tell_is_said(tmp_path):
    path = write_run(tmp_path, [], returns=None, has_logbook=False, hyperparams={})
    page = write_report(path, tmp_path / "out", no_film="It was not asked for.").read_text(encoding="utf-8")
    assert "There is no history to draw" in page
    assert page.count("The run kept no logbook, so this is not known.") == 3
    assert "It was not asked for." in page
    assert "A script started this run." in page


def test_a_run_with_nothing_but_a_history_has_a_report(tmp_path):
    path = write_run(tmp_path, [1.0, 2.0, 3.0])
    for name in ("run.json", "result.json", "logbook.jsonl"):
        (path / name).unlink()
    with (path / "history.jsonl").open("ab") as file:
        file.write(b"no line\n")
    page = write_report(path, tmp_path / "out").read_text(encoding="utf-8")
    assert "It never came to an end: it can be resumed." in page
    assert "One line of history.jsonl is damaged and left out." in page
    assert "Over time it cannot be drawn" in page


def test_an_environment_that_cannot_be_filmed_is_no_obstacle(tmp_path):
    env = gym.make("CartPole-v1")
    page = write_report(write_run(tmp_path, [1.0]), tmp_path / "out", agent=lambda observation: 0, env=env)
    env.close()
    assert "There is no film: A film needs an environment made with" in page.read_text(encoding="utf-8")
    assert not (page.parent / "film.gif").exists()


def test_folders_that_are_no_runs_are_refused_and_nothing_is_made(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="is not the folder of a run"):
        write_report(tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_whatever_a_folder_from_a_stranger_says_it_is_a_page(tmp_path):
    huge, endless = 10**400, "x" * 100_000
    entries = [
        {"kind": "champion", "windows": 1, "score": huge, "greedy_mean": [1], "greedy_episodes": endless},
        {"kind": "challenge", "windows": 1, "episodes": endless, "challenger": None, "is_won": 3},
        {"kind": "trial", "windows": 2, "hyperparams": [1, 2]},
        {"kind": "alarm", "windows": 2, "score": "<script>"},
        {"kind": "cause", "windows": 2, "cause": endless},
        {"kind": "undone", "windows": 2, "problem": {"a": endless}},
        {"kind": "hyperparameters", "windows": 2, "values": {"gamma": huge}},
        {"kind": "hyperparameters", "windows": 2, "values": 7},
        {"kind": "time", "windows": 2, "env_steps": huge, "spent": {"learning": huge}},
        {"kind": "time", "windows": 2, "spent": {endless: 1e308, "learning": "much"}},
    ]
    plan = {"env_id": "<script>alert(1)</script>", "overrides": [1], "wrappers": 3, "seed": endless}
    path = write_run(tmp_path, [1e308, -1e308, 3.0, 4.0], entries=entries, plan=plan, odd=[1e308, -1e308, huge, 1.0])
    rewrite(path / "run.json", agent=[], settings={"a": endless}, pipeline={"env_id": "<script>"}, versions=huge)
    page = write_report(path, tmp_path / "out").read_text(encoding="utf-8")
    assert "<script>" not in page
    assert len(page) < MOST_BYTES
    assert "Champions" in page
