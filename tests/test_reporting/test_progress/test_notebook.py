import pytest
from extra_venvs import run_with
from statuses import BEGINNING, WAITING

from tensor_optix.reporting.progress.lines import text_line
from tensor_optix.reporting.progress.notebook import Bar, NotebookBar
from tensor_optix.reporting.progress.status import Status


class Display:
    """Stands in for IPython's."""

    def __init__(self):
        self.shown = []

    def __call__(self, bar, *, display_id):
        assert display_id is True
        self.shown.append(bar)
        return self

    def update(self, bar):
        self.shown[-1] = bar
        self.num_updates = getattr(self, "num_updates", 0) + 1


def test_it_is_updated_in_place():
    display, status = Display(), [BEGINNING]
    bar = NotebookBar(lambda: status[0], display)
    bar.show()
    assert display.shown == []
    bar.open()
    status[0] = WAITING
    bar.show()
    bar.close()
    assert len(display.shown) == 1
    assert display.num_updates == 2
    assert repr(display.shown[0]) == text_line(WAITING)


def test_html_has_a_bar_and_nothing_that_could_be_markup():
    page = Bar(WAITING)._repr_html_()
    assert '<progress value="0.5233" max="1">' in page
    assert "waiting for proof: 7 of 20 looks" in page
    assert "<progress" not in Bar(BEGINNING)._repr_html_()
    assert "<script>" not in Bar(Status(environment="<script>"))._repr_html_()


NOTEBOOK = """
import sys
import nbformat
from nbclient import NotebookClient

source = f'''
from logged_runs import make_optimizer
make_optimizer({sys.argv[1]!r}, ["progress"]).run();
'''
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
NotebookClient(notebook, timeout=200, kernel_name="python3").execute()
(cell,) = notebook.cells
shown = [output for output in cell.outputs if output.output_type == "display_data"]
assert len(shown) == 1, [output.output_type for output in cell.outputs]
assert "ended: budget" in shown[0]["data"]["text/html"], shown
print(shown[0]["data"]["text/plain"])
"""


@pytest.mark.extras
def test_a_real_kernel_shows_one_bar_that_ends_with_the_result(tmp_path):
    env = {"JUPYTER_PLATFORM_DIRS": "1", "HOME": str(tmp_path)}
    assert "CartPole-v1  ended: budget" in run_with("notebook", NOTEBOOK, tmp_path, env=env)
