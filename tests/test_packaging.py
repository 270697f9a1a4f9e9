"""The wheel holds exactly the four packages, and their generic names collide with nobody's."""

import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from latency_tables.runtimes.registry import RUNTIMES

ROOT = Path(__file__).parents[1]
PACKAGES = {"nas", "search_spaces", "evaluators", "latency_tables"}
EXTRAS = ("ray", "optuna", "scipy", "onnx", "onnxruntime", "onnxscript", "openvino", "av", "cv2", "matplotlib")
RUNTIMES_OF_EXTRAS = tuple(info.module for info in RUNTIMES.values() if info.extra)
"""Loaded by their registry alone, which says what to install."""


def test_no_other_distribution_ships_our_names() -> None:
    owners = packages_distributions()
    for name in PACKAGES:
        assert set(owners.get(name, ["vidseg-nas"])) == {"vidseg-nas"}


@pytest.mark.slow
def test_the_wheel_holds_the_four_packages_and_no_data(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)], check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == PACKAGES
    assert not [name for name in names if name.endswith((".png", ".jpg", ".csv", ".gz"))]


def test_the_core_imports_without_extras() -> None:
    """Every module of the four packages, but the runtimes themselves: extras are imported where they are used."""
    code = (
        "import importlib, pkgutil, sys\n"
        f"for name in {EXTRAS}:\n"
        "    sys.modules[name] = None\n"
        f"for package in {sorted(PACKAGES)}:\n"
        "    found = importlib.import_module(package)\n"
        "    for module in pkgutil.walk_packages(found.__path__, package + '.'):\n"
        f"        if module.name not in {RUNTIMES_OF_EXTRAS}:\n"
        "            importlib.import_module(module.name)\n"
        "            print(module.name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert {"nas.engines_ray", "nas.api", "evaluators.flow", "latency_tables.worker"} <= set(done.stdout.split())
