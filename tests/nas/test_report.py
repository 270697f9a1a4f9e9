"""The report: what it shows, that it hides nothing, that it is one file which asks nobody for anything."""

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from nas.recipe import Recipe
from nas.report.diagram import BLOCK_WIDTH, architecture_svg
from nas.report.history import best_so_far, volume_so_far
from nas.report.page import page
from nas.report.tables import front_rows, trial_rows
from nas.result import Result, front_of
from nas.trial import Proposal, Trial, TrialStatus, Work
from search_spaces.architecture import Architecture, DecoderSpec, NetworkSpec, StageSpec, StemSpec, TemporalSite
from search_spaces.cells.specs import ConvGRUSpec
from search_spaces.presets import PRESETS
from tests.search_spaces.network_kinds import KINDS

EVIL = "<script>alert('x')</script><img src=\"http://evil.example/x.png\">"
PNG = b"\x89PNG\r\n\x1a\n not really"


def architecture(channels: int) -> Architecture:
    return Architecture(
        NetworkSpec(
            stem=StemSpec(channels),
            stages=(StageSpec("plain", 1, 16, 2), StageSpec("residual", 2, 24, 2)),
            decoder=DecoderSpec("skip_add", 16, 4),
            temporal=(TemporalSite("bottleneck", ConvGRUSpec(), "add"),),
        )
    )


def trial(number: int, status: TrialStatus, error: str | None = None, **metrics: float) -> Trial:
    return Trial(number, Proposal({"a": 0}, architecture(8 + 8 * number)), status, metrics, error)


def result(error: str = "out of memory") -> Result:
    recipe = Recipe(data=f"folder:{EVIL}", constraints={"latency_ms": 20.0}, trials=5)
    trials = (
        trial(0, "complete", miou=0.4, latency_ms=10.0, latency_halfwidth_ms=0.5),
        trial(1, "complete", miou=0.6, latency_ms=15.0, latency_halfwidth_ms=0.25, contended=1.0),
        trial(2, "infeasible", latency_ms=31.0),
        trial(3, "failed", error),
        trial(4, "complete", miou=0.3, latency_ms=12.0),
    )
    return Result(recipe, trials, front_of(trials, recipe.objectives), Path("a folder/x"))


class Elements(HTMLParser):
    """Collects every element, its attributes and the text."""

    VOID = ("meta", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def html() -> str:
    pytest.importorskip("matplotlib")
    return page(result(EVIL), {"processor": EVIL}, {f"frame {EVIL}": PNG})


def test_every_element_is_closed_and_nothing_is_fetched(html: str) -> None:
    elements = Elements(html)
    assert elements.open == []
    for tag, attributes in elements.found:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form")
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href", "srcset", "data", "action"):
                assert value is not None
                assert value.startswith(("data:", "#"))
    assert "url(http" not in html
    assert "@import" not in html
    policy = next(a for tag, a in elements.found if a.get("http-equiv") == "Content-Security-Policy")
    assert str(policy["content"]).startswith("default-src 'none'")


def test_text_from_outside_is_escaped(html: str) -> None:
    assert "<script" not in html
    assert "evil.example" in Elements(html).text  # shown as text, not dropped


def test_it_says_what_happened(html: str) -> None:
    text = Elements(html).text
    for wanted in (
        "#1", "0.6", "15 ± 0.25", "(contended)", "latency_ms 31 is over the budget 20", "another seed",
        "3 complete", "1 infeasible", "1 failed", '"trials": 5', "vidseg-nas train 'a folder/x#1'",
        architecture(16).key[:12],
    ):  # fmt: skip
        assert wanted in text, wanted


def test_pictures_are_inside(html: str) -> None:
    images = [a for tag, a in Elements(html).found if tag == "img"]
    assert len(images) == 1
    assert str(images[0]["src"]).startswith("data:image/png;base64,")


def test_it_is_the_same_every_time(html: str) -> None:
    assert page(result(EVIL), {"processor": EVIL}, {f"frame {EVIL}": PNG}) == html


def test_a_search_without_any_complete_trial_has_a_report() -> None:
    pytest.importorskip("matplotlib")
    empty = Result(Recipe(), (trial(0, "failed", "no"),), ())
    assert "no front yet" in page(empty, {}, {})
    one = trial(0, "complete", miou=0.5)
    recipe = Recipe(objectives=("miou",))
    assert "#0" in page(Result(recipe, (one,), (one,)), {}, {})


def test_front_keeps_only_the_undominated_best_first() -> None:
    assert [t.number for t in result().front] == [1, 0]


def test_works_are_no_candidates() -> None:
    work = Trial(0, Work("supernet", architecture(8)), "complete", {"miou": 1.0, "latency_ms": 1.0})
    assert front_of((work,), ("miou", "latency_ms")) == ()
    assert Result(Recipe(), (work,), ()).candidates == ()


def test_rows_have_uncertainty_and_reasons() -> None:
    front = front_rows(result())
    assert front.header[:4] == ("trial", "key", "miou", "latency_ms")
    assert front.cells[1][3] == "10 ± 0.5"
    statuses = {row[0]: (row[1], row[-1]) for row in trial_rows(result()).cells}
    assert statuses["#1"] == ("front", "")
    assert statuses["#3"] == ("failed", "out of memory")
    assert statuses["#2"] == ("infeasible", "latency_ms 31 is over the budget 20")


def test_history_by_hand() -> None:
    assert best_so_far(result()) == [0.4, 0.6, 0.6, 0.6, 0.6]
    # The reference is the worst of the complete trials: miou 0.3, latency 15. After trial 0 the front spans
    # (0.4 - 0.3) x (15 - 10); trial 1 lies on the reference's latency and adds no area, nor does trial 4.
    volumes = volume_so_far(result())
    assert volumes == pytest.approx([0.5, 0.5, 0.5, 0.5, 0.5])
    assert volume_so_far(Result(Recipe(objectives=("miou",)), (trial(0, "complete", miou=1.0),), ())) == [None]


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_is_drawn(name: str) -> None:
    spec = PRESETS[name].architecture.video
    root = ET.fromstring(architecture_svg(spec))
    texts = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    boxes = list(root.iter("{http://www.w3.org/2000/svg}rect"))
    extra = 3 + (spec.context != "none") + (spec.detail is not None)  # frame, stem ... decoder, logits
    assert len(boxes) == len(spec.stages) + extra + 1
    for stage in spec.stages:
        assert any(re.fullmatch(rf"{stage.depth} {stage.block}.*", text) for text in texts)
        assert any(text.startswith(f"{stage.channels} channels") for text in texts)
    arcs = [path for path in root.iter("{http://www.w3.org/2000/svg}path") if path.get("class") == "skip"]
    assert len(arcs) == len(spec.skip_strides) + (spec.detail is not None)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_kind_of_network_is_drawn(name: str) -> None:
    """A block for all that is there, an arc for all that is looked back to, and none runs out of the picture."""
    spec = KINDS[name].video
    root = ET.fromstring(architecture_svg(spec))
    boxes = [box for box in root.iter("{http://www.w3.org/2000/svg}rect") if box.get("width") == str(BLOCK_WIDTH)]
    assert len(boxes) == len(spec.stages) + 4 + (spec.context != "none") + (spec.detail is not None)
    assert float(boxes[-1].get("x", "nan")) + BLOCK_WIDTH < float(root.get("width", "nan"))
    arcs = [path for path in root.iter("{http://www.w3.org/2000/svg}path") if path.get("class") == "skip"]
    assert len(arcs) == len(spec.skip_strides) + (spec.detail is not None)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert f"decoder {spec.decoder.kind}" in texts
    assert ("to frame size" in texts) == (spec.decoder.logits == "full")


def test_temporal_cells_are_drawn() -> None:
    svg = architecture_svg(architecture(8).video)
    assert "conv_gru (add)" in svg
    assert "stroke-dasharray" in svg
