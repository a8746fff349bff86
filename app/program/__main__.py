"""`python -m workspaced`: the command line where its script is not on PATH."""  # noqa: INP001  # the namespace must have no __init__.py

from workspaced.app.main import main

main()
