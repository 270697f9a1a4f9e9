"""The wheel holds exactly the four packages, and their generic names collide with nobody's."""

import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"nas", "search_spaces", "evaluators", "latency_tables"}


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
    """Ray, Optuna and the export runtimes are imported where they are used, never at the top."""
    code = (
        "import sys\n"
        "for name in ('ray', 'optuna', 'onnx', 'onnxruntime', 'onnxscript', 'openvino', 'av', 'cv2', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"
        "import nas.api, nas.search, nas.cli, nas.engines, nas.searchers.registry, evaluators.segmentation\n"
        "import evaluators.latency, latency_tables.protocol, latency_tables.onnx_export, search_spaces.spaces\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
