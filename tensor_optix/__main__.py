"""``python -m tensor_optix``, the same as the command ``tensor-optix``."""

from tensor_optix.cli.main import main

main()
