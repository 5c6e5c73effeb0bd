"""The wheel is whole: what is installed from it, far from any checkout, can do what the checkout can."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from plyr_command import REPOSITORY, environment, open_folder

pytestmark = pytest.mark.xdist_group("wheel")


def _run(*command: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    variables = environment(**variables) | {"PYTHONPATH": ""}
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=variables, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_wheel_installed_elsewhere_runs_the_demo() -> None:
    with open_folder() as folder:
        built = _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=REPOSITORY)
        assert built.returncode == 0, built.stderr
        (wheel,) = folder.glob("*.whl")
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = folder / "venv" / "lib" / version / "site-packages"
        pip = (sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--disable-pip-version-check")
        installed = _run(*pip, "--prefix", folder / "venv", "--ignore-installed", wheel, cwd=folder)
        assert installed.returncode == 0, installed.stderr
        # The dependencies are the present environment's; the package itself must not be.
        (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        python = folder / "venv" / "bin" / "python"
        where = _run(
            python, "-c", "import plyr.shipped as s; print(s.__file__, s.migrations(), s.lexicons())", cwd=folder
        )
        assert all(part.startswith(str(packages)) for part in where.stdout.split()), where.stdout + where.stderr

        (folder / "tmp").mkdir()
        (folder / "tmp").chmod(0o755)
        command = _script(folder, packages)
        finished = _run(*command, "demo", "--port", "0", "--exit-when-ready", cwd=folder, TMPDIR=str(folder / "tmp"))
        assert finished.returncode == 0, finished.stdout + finished.stderr
        assert "examples answered" in finished.stdout
        assert _run(*command, "--version", cwd=folder).stdout.strip() == wheel.name.split("-")[1]


def _script(folder: Path, packages: Path) -> list[Path]:
    """Return how to run the installed command: by the interpreter that can see the installation."""
    assert (packages / "plyr").is_dir()
    return [folder / "venv" / "bin" / "python", folder / "venv" / "bin" / "plyr"]
