import sys

import pytest
from logged_runs import make_optimizer

from tensor_optix.exceptions import MissingExtraError
from tensor_optix.reporting.named_callbacks import NAMED_CALLBACKS, callback_named
from tensor_optix.reporting.shared.extras import required

EXTRA_OF = {
    "tensorboard": "tensorboard",
    "mlflow": "mlflow",
    "wandb": "wandb",
    "trackio": "trackio",
    "moviepy": "video",
    "optuna": "optuna",
}


def hide(monkeypatch, package):
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)


def test_what_is_there_is_returned():
    assert required("json.decoder", "x", "Y") is sys.modules["json.decoder"]


@pytest.mark.parametrize(("package", "extra"), EXTRA_OF.items())
def test_a_missing_package_names_the_extra_that_brings_it(monkeypatch, package, extra):
    hide(monkeypatch, package)
    with pytest.raises(MissingExtraError, match=rf'Y needs a package .* pip install "tensor-optix\[{extra}\]"'):
        required(package, extra, "Y")


@pytest.mark.parametrize("name", sorted({*EXTRA_OF.values()} & {*NAMED_CALLBACKS}))
def test_each_callback_that_needs_one_says_so_before_anything_runs(monkeypatch, tmp_path, name):
    package = next(package for package, extra in EXTRA_OF.items() if extra == name)
    hide(monkeypatch, package)
    with pytest.raises(MissingExtraError, match=rf"tensor-optix\[{name}\]"):
        make_optimizer(tmp_path, [name])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(MissingExtraError, match=rf"tensor-optix\[{name}\]"):
        callback_named(name)


def test_one_that_is_there_and_broken_says_why(monkeypatch, tmp_path):
    (tmp_path / "broken_package.py").write_text("from json import no_such_name")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match=r"it is there, but: cannot import name 'no_such_name'"):
        required("broken_package", "x", "Y")
