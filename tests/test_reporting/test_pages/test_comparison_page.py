"""The page of a comparison: one file, with a part for each environment."""

import re

from written_runs import write_run

from tensor_optix.reporting.comparison.figures import compare_runs
from tensor_optix.reporting.pages.comparison_page import write_comparison
from tensor_optix.reporting.pages.html_page import MOST_BYTES

RISING = [float(i) for i in range(20)]


def test_it_needs_nothing_else(tmp_path):
    paths = [
        write_run(tmp_path, RISING, seed=seed, agent=agent, returns=[seed, 9.0])
        for agent in ("PPOAgent", "DQNAgent")
        for seed in range(3)
    ]
    path = write_comparison(compare_runs(paths), tmp_path / "deep" / "page.html")
    page = path.read_text(encoding="utf-8")
    assert path.stat().st_size < MOST_BYTES
    places = re.findall(r'(?:src|srcset|href)="(.{11})', page)
    assert len(places) == 4 * 2
    assert set(places) == {"data:image/"}
    sections = ["What the groups reached", "Interquartile means", "Which is better", "Learning curves"]
    sections += ["Performance profiles", "The runs", "How the figures are made"]
    assert re.findall("<h2>(.*?)</h2>", page) == sections
    assert "PPOAgent over DQNAgent" in page


def test_each_environment_has_its_part(tmp_path):
    paths = [write_run(tmp_path, RISING), write_run(tmp_path, RISING, env_id="Acrobot-v1")]
    page = write_comparison(compare_runs(paths), tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h2>The runs, CartPole-v1</h2>" in page
    assert "<h2>The runs, Acrobot-v1</h2>" in page
    assert "whose scores cannot be compared" in page


def test_without_reports_and_history_it_says_so(tmp_path):
    page = write_comparison(compare_runs([write_run(tmp_path, [], returns=None)]), tmp_path / "page.html")
    assert "There is no history to draw." in page.read_text(encoding="utf-8")
