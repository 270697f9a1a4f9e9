"""What is written is listed, says where it comes from and stays small: the conventions that no linter knows."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest
from torch import nn

from evaluators.datasets.base import VideoDataset
from evaluators.datasets.registry import DATASETS
from latency_tables.runtimes.registry import RUNTIMES
from nas.searchers.registry import SEARCHERS
from search_spaces import stage_questions
from search_spaces.activations import ACTIVATIONS, GATES
from search_spaces.architecture import (
    Activation,
    Architecture,
    ConvSpec,
    DecoderSpec,
    DetailSpec,
    NetworkSpec,
    StageSpec,
    StemSpec,
)
from search_spaces.cells.base import TemporalCell
from search_spaces.cells.dynamic_spec import DynamicCellSpec
from search_spaces.cells.registry import CELLS
from search_spaces.cells.specs import CellSpec, ConvGRUSpec
from search_spaces.contexts import CONTEXTS, dilations
from search_spaces.decoders import DECODERS, Decoder
from search_spaces.detail_fusions import DETAIL_FUSIONS, Meeting
from search_spaces.exchanges import EXCHANGES, Exchange
from search_spaces.fusion import FUSIONS
from search_spaces.op_catalogue import OPS
from search_spaces.ops.attention import ATTENTIONS, attention, within
from search_spaces.ops.blocks import BLOCKS
from search_spaces.ops.dense import StridedPointwise
from search_spaces.ops.registry import CONVS
from search_spaces.part_catalogue import PARTS
from search_spaces.presets import PRESETS
from search_spaces.resizing import SCALES
from search_spaces.schedules import SCHEDULES
from search_spaces.stage_spec import WITHIN_BLOCKS
from search_spaces.stems import STEMS, PatchConv

ROOT = Path(__file__).parents[1]
PACKAGES = ("search_spaces", "latency_tables", "evaluators", "nas")
MAX_LINES = 300
SOURCE = re.compile(r"arXiv:\d{4}\.\d{4,5}|doi:10\.\d+/|https?://|\bOriginal\b")
BOUNDARY = re.compile(r"\b(nothing|never|none of)\b", re.IGNORECASE)
"""How a file says where its knowledge ends: knows nothing of, decides nothing, never opens, imports none of."""

FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
RECIPES = sorted((ROOT / "experiments").rglob("*.py"))


def _named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _modules(package: str) -> Iterator[ModuleType]:
    """Every module of a package but the package itself."""
    for path in sorted((ROOT / package.replace(".", "/")).glob("*.py")):
        if path.stem != "__init__":
            yield importlib.import_module(f"{package}.{path.stem}")


def _own_classes(module: ModuleType) -> list[type]:
    return [found for _, found in inspect.getmembers(module, inspect.isclass) if found.__module__ == module.__name__]


class TestEverythingIsListed:
    def test_searchers(self) -> None:
        makers = {module.__name__ for module in _modules("nas.searchers") if hasattr(module, "make")}
        assert makers == {info.module for info in SEARCHERS.values()}

    def test_datasets(self) -> None:
        methods = [name for name in vars(VideoDataset) if not name.startswith("_")]
        assert {"info", "videos", "check"} <= set(methods)
        names = {
            module.NAME
            for module in _modules("evaluators.datasets")
            for found in _own_classes(module)
            if found is not VideoDataset and all(hasattr(found, method) for method in methods)
        }
        assert names == set(DATASETS)

    def test_runtimes(self) -> None:
        """Read and not imported: a runtime's package may be absent."""
        folder = ROOT / "latency_tables" / "runtimes"
        offers = re.compile(r"^RUNTIME\b.*=", re.MULTILINE)
        runtimes = {f"latency_tables.runtimes.{p.stem}" for p in folder.glob("*.py") if offers.search(p.read_text())}
        assert runtimes == {info.module for info in RUNTIMES.values()}

    def test_cells(self) -> None:
        cells = {
            found
            for module in _modules("search_spaces.cells")
            for found in _own_classes(module)
            if issubclass(found, TemporalCell) and not inspect.isabstract(found)
        }
        assert cells == {entry.module for entry in CELLS.values()}
        modules = [module for module in _modules("search_spaces.cells") if module.__name__.endswith("specs")]
        written = {found for module in modules for found in _own_classes(module)} | {DynamicCellSpec}
        recorded = set(get_args(get_args(CellSpec)[0]))
        assert written == recorded == {entry.spec for entry in CELLS.values()}
        for name, entry in CELLS.items():
            assert entry.spec().kind == name

    def test_convolutions_and_blocks(self) -> None:
        """Every public factory and module of the files is in a table; what builds them all is `conv_bn`."""
        listed = {*CONVS.values(), *BLOCKS.values(), StridedPointwise}
        listed |= {*(entry.make for entry in ATTENTIONS.values()), attention, within}
        for module in _modules("search_spaces.ops"):
            for name, found in vars(module).items():
                own = inspect.isfunction(found) or (inspect.isclass(found) and issubclass(found, nn.Module))
                if own and found.__module__ == module.__name__ and not name.startswith("_") and name != "conv_bn":
                    assert found in listed, f"{module.__name__}.{name}"

    def test_stems_contexts_and_decoders(self) -> None:
        """Every public module and factory of the files is in a table, or what those are made of."""
        listed = {*STEMS.values(), *CONTEXTS.values(), *DECODERS.values(), PatchConv, Decoder, dilations}
        listed |= {*DETAIL_FUSIONS.values(), Meeting, *EXCHANGES.values(), Exchange}
        for name in ("stems", "contexts", "decoders", "detail_fusions", "exchanges"):
            module = importlib.import_module(f"search_spaces.{name}")
            for attribute, found in vars(module).items():
                if getattr(found, "__module__", None) == module.__name__ and not attribute.startswith("_"):
                    assert found in listed, f"{module.__name__}.{attribute}"

    def test_the_record_allows_exactly_what_is_listed(self) -> None:
        """A name that the JSON takes and no table has would fail when it is built."""

        def allowed(record: type, field: str) -> set[str]:
            return set(inspect.get_annotations(record)[field].__args__)

        assert allowed(ConvSpec, "factorization") == set(CONVS)
        assert allowed(StageSpec, "block") == set(BLOCKS)
        assert allowed(StageSpec, "attention") == {"none", *ATTENTIONS}
        assert allowed(ConvGRUSpec, "gate") < set(GATES)
        assert allowed(StemSpec, "kind") == set(STEMS)
        assert allowed(NetworkSpec, "context") == set(CONTEXTS)
        assert allowed(DecoderSpec, "kind") == set(DECODERS)
        assert allowed(DetailSpec, "fusion") == set(DETAIL_FUSIONS)
        assert allowed(DetailSpec, "exchange") == {"none", *EXCHANGES}
        assert set(Activation.__args__) == set(ACTIVATIONS)  # type: ignore[attr-defined]
        assert {name for name, entry in OPS.items() if entry.kind == "convolution"} == set(CONVS)
        assert {name for name, entry in OPS.items() if entry.kind == "block"} == set(BLOCKS)

    def test_the_questions_offer_exactly_what_is_listed(self) -> None:
        assert tuple(ACTIVATIONS) == stage_questions.ACTIVATIONS
        assert ("none", *ATTENTIONS) == stage_questions.ATTENTIONS
        assert set(WITHIN_BLOCKS) < set(ATTENTIONS)

    def test_the_parts_of_a_network_are_all_in_the_catalogue(self) -> None:
        def options(kind: str) -> set[str]:
            return {entry.option for entry in PARTS.values() if entry.kind == kind}

        assert options("stem") == set(STEMS)
        assert options("context") | {"none"} == set(CONTEXTS)
        assert options("decoder") == set(DECODERS)
        assert options("detail") == set(DETAIL_FUSIONS)
        assert options("exchange") == set(EXCHANGES)
        assert options("attention") == set(ATTENTIONS)
        assert options("fusion") == set(FUSIONS)
        assert options("input scale") | {"1"} == set(SCALES)
        assert all(SOURCE.search(entry.source) for entry in PARTS.values())

    def test_operations_say_where_they_come_from(self) -> None:
        for name, entry in OPS.items():
            assert SOURCE.search(entry.source), name

    def test_schedules_say_where_they_come_from(self) -> None:
        for name, entry in SCHEDULES.items():
            assert SOURCE.search(entry.source), name
            assert entry.survey.startswith("5.3"), name

    def test_presets_say_where_they_come_from(self) -> None:
        for name, entry in PRESETS.items():
            assert isinstance(entry.architecture, Architecture)
            assert SOURCE.search(entry.source), name


def _algorithms() -> list[Path]:
    """Files that implement something published or our own; tables, records and shared parts are none."""
    plain = {"__init__", "registry", "common", "base", "specs"}
    folders = ("nas/searchers", "search_spaces/cells", "search_spaces/ops")
    files = [path for folder in folders for path in (ROOT / folder).glob("*.py") if path.stem not in plain]
    evaluators = ("metrics", "temporal_metrics", "losses", "training_heads")
    network = ("stems", "contexts", "decoders", "detail", "detail_fusions", "exchanges", "keyframes", "distributed")
    network += ("schedule_spec", "change_gate")
    return [
        *files,
        *(ROOT / "evaluators" / f"{name}.py" for name in evaluators),
        *(ROOT / "search_spaces" / f"{name}.py" for name in network),
    ]


@pytest.mark.parametrize("path", _algorithms(), ids=_named)
def test_an_algorithm_cites_its_source(path: Path) -> None:
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, documented)]
    assert any(SOURCE.search(text) for text in docstrings)


@pytest.mark.parametrize("path", FILES, ids=_named)
def test_a_file_begins_by_saying_what_it_is_for_and_where_it_ends(path: Path) -> None:
    text = path.read_text()
    assert text.startswith('"""'), "the docstring is the first statement, on the first line"
    docstring = ast.get_docstring(ast.parse(text)) or ""
    purpose = docstring.splitlines()[0]
    assert purpose[0].isupper() or purpose.startswith("`")
    assert BOUNDARY.search(docstring), "say what the file knows nothing of"


@pytest.mark.parametrize("path", [*FILES, *RECIPES], ids=_named)
def test_no_file_is_longer_than_one_can_read(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


def test_the_lists_above_are_not_empty() -> None:
    assert len(FILES) > 100
    assert len(_algorithms()) >= 12
    assert {path.parts[len(ROOT.parts)] for path in FILES} == set(PACKAGES)
