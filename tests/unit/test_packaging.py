"""What the installed package promises: one nats.conf, light imports for clients, types."""

import pkgutil
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

import workspaced.bus

ROOT = Path(__file__).parents[2]
PACKAGES = ["fsm", "bus", "store", "app", "provisioners", "tools"]
HEAVY = [
    "statemachine",
    "asyncpg",
    "uvloop",
    "click",
    "rich",
    "prometheus_client",
    "workspaced.store",
    "workspaced.app",
]
CLIENT_MODULES = [
    "workspaced.fsm",
    "workspaced.bus",
    *(m.name for m in pkgutil.iter_modules(workspaced.bus.__path__, "workspaced.bus.")),
]


def test_one_nats_conf() -> None:
    """The package runs the file at the top, also from a checkout that does not know links."""
    assert (files("workspaced.app") / "nats.conf").read_bytes() == (ROOT / "nats.conf").read_bytes()


@pytest.mark.parametrize("module", CLIENT_MODULES)
def test_clients_import_light(module: str) -> None:
    """A chat daemon without the extras can import the bus: no part of it loads what only the service has."""
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_every_folder_with_code_ships() -> None:
    """A new folder runs from a checkout at once; the wheel holds only what pyproject.toml lists."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {file.parent.relative_to(ROOT) for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    own = Path(build["package-dir"]["workspaced"])
    found = {"workspaced." + ".".join(folder.parts) for folder in folders - {own}}

    assert own in folders
    assert found | {"workspaced"} == set(build["packages"])


def test_it_runs_as_a_module() -> None:
    """`python -m workspaced` is the command line, where its script is not on PATH."""
    command = [sys.executable, "-P", "-m", "workspaced", "version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout.startswith("workspaced ")


@pytest.mark.parametrize("package", PACKAGES)
def test_types_ship(package: str) -> None:
    """Every package says it is typed; the namespace itself can't."""
    assert (files(f"workspaced.{package}") / "py.typed").is_file()


def test_constraints_name_no_host() -> None:
    """Pinned and hashed, and installable from whatever registry a machine has."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()

    assert [line for line in lines if "://" in line or line.startswith("--")] == []
    assert all("==" in line or line.lstrip().startswith("--hash=sha256:") for line in lines)
