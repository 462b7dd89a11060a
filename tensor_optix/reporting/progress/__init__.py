"""How a run is going, while it runs: a panel in a terminal, lines in a file, a bar in a notebook.

``status`` says what is known, in words; each way to show it is a file; ``callback`` follows the run.
"""

from tensor_optix.reporting.progress.callback import Progress as Progress
