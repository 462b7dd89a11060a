import sys
from types import ModuleType

import gymnasium as gym
import pytest
from extra_venvs import run_with
from logged_runs import make_optimizer

from tensor_optix.reporting.video_callback import VideoCallback

RUN = """
import sys
from pathlib import Path
import imageio_ffmpeg
from logged_runs import make_optimizer
from tensor_optix.reporting.video_callback import VideoCallback

callback = VideoCallback(every_env_steps=1000)
optimizer = make_optimizer(sys.argv[1], [callback])
result = optimizer.run()
assert not [note for note in result.notes if "VideoCallback" in note], result.notes
films = sorted(path.name for path in (optimizer.run_dir / "videos").glob("*.mp4"))
assert films == ["champion-episode-0.mp4", "steps-0000001000-episode-0.mp4", "steps-0000002000-episode-0.mp4"], films
reader = imageio_ffmpeg.read_frames(str(optimizer.run_dir / "videos" / films[0]))
size = next(reader)["size"]
num_frames = sum(1 for _ in reader)
assert size == (600, 400) and num_frames > 5, (size, num_frames)
print(num_frames)
"""


@pytest.mark.extras
def test_greedy_episodes_are_filmed(tmp_path):
    assert int(run_with("video", RUN, tmp_path).splitlines()[-1]) > 5


class Filmed(gym.Wrapper):
    def __init__(self, env, folder, *, name_prefix, **arguments):
        super().__init__(env)
        Filmed.folders.append((folder.rsplit("/", 1)[1], name_prefix))


@pytest.fixture
def recorder(monkeypatch):
    """Stand in for what writes videos."""
    monkeypatch.setitem(sys.modules, "moviepy", ModuleType("moviepy"))
    monkeypatch.setattr(gym.wrappers, "RecordVideo", Filmed)
    Filmed.folders = []
    return Filmed.folders


def test_it_films_at_regular_steps_and_the_champion_at_the_end(tmp_path, recorder):
    callback = VideoCallback(every_env_steps=1000)
    make_optimizer(tmp_path, [callback]).run()
    regular = [("videos", f"steps-000000{number}000") for number in (1, 2, 3)]
    assert recorder == [*regular, ("videos", "champion")]
    assert callback.env_steps > 0


def test_an_environment_that_shows_nothing_is_named(tmp_path, recorder, caplog):
    callback = VideoCallback(lambda: gym.make("CartPole-v1"), every_env_steps=500)
    make_optimizer(tmp_path, [callback], max_env_steps=None, max_episodes=6).run()
    assert 'A video needs one environment with render_mode="rgb_array"' in caplog.text
    assert recorder == []
