from types import SimpleNamespace

from logged_runs import RowKeeper, make_optimizer

from tensor_optix import LoopCallback
from tensor_optix.reporting.shared.settings import run_name, settings_of


def test_settings_are_numbers_and_texts(tmp_path):
    class Asking(LoopCallback):
        def on_run_start(self, run):
            self.run = run

        def on_loop_start(self):
            run = self.run
            self.settings, self.name = settings_of(run), run_name(run)

    asking = Asking()
    make_optimizer(tmp_path, [asking, RowKeeper()], num_envs=2, max_env_steps=None, max_episodes=1).run()
    assert asking.name == "run-0001"
    assert asking.settings == {
        "agent": "LinearAgent",
        "env_id": "CartPole-v1",
        "num_envs": 2,
        "seed": 0,
        "budget": "1 windows",
        "learning_rate": 0.01,
        "gamma": 0.99,
    }


def test_a_run_without_a_folder_is_called_after_its_environment():
    assert run_name(SimpleNamespace(run_dir=None, environment={"env_id": "CartPole-v1"})) == "CartPole-v1"
    assert run_name(SimpleNamespace(run_dir=None, environment={})) == "run"
