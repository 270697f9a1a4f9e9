"""A network drawn as an inline SVG block diagram, from its specification. Knows nothing of reports or torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from search_spaces.architecture import DetailSpec, NetworkSpec, StageSpec, StemSpec, TemporalSite

BLOCK_WIDTH, GAP = 136, 20
TALLEST, STEP_DOWN, TOP = 120, 16, 46
"""Pixels: a block at full resolution is TALLEST high; every halving takes STEP_DOWN off."""

FILLS = {
    "input": "#eceff1", "stem": "#cfd8dc", "stage": "#bbdefb", "context": "#d1c4e9",
    "detail": "#b2dfdb", "decoder": "#c8e6c9", "logits": "#ffe0b2", "cell": "#ffab91",
}  # fmt: skip
CHARACTER_WIDTH = 0.58
"""Of a sans-serif font, in font sizes: what most lines stay under."""

_CELL_WIDTH, _CELL_HEIGHT = 126, 20


@dataclass(frozen=True, slots=True)
class _Block:
    role: str
    lines: tuple[str, ...]
    halvings: int
    cell: TemporalSite | None = None


def architecture_svg(spec: NetworkSpec) -> str:
    """An `<svg>` element: input, stem, stages, context, detail branch, decoder and logits, temporal cells above.

    A block's height falls with its stride; a cell carries its state from frame to frame (the loop above it);
    the arcs below lead to what looks back: the detail branch, the decoder's skips.
    """
    blocks = _blocks(spec)
    width = len(blocks) * (BLOCK_WIDTH + GAP) + GAP
    height = TOP + TALLEST + 40
    middle = TOP + TALLEST / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" font-family="sans-serif" font-size="11">',
        f"<title>{escape(_sentence(spec))}</title>",
    ]
    for index, block in enumerate(blocks):
        left = GAP + index * (BLOCK_WIDTH + GAP)
        parts += _block_svg(block, left, middle)
        if index:
            parts.append(_arrow(left - GAP, left, middle))
    for stride in spec.skip_strides:
        parts.append(_arc(blocks, 1 + spec.source_at(stride), "decoder", middle, height))
    if spec.detail is not None:
        source = 0 if spec.detail.stem is not None else 1 + spec.detail_source
        parts.append(_arc(blocks, source, "detail", middle, height))
    parts.append("</svg>")
    return "".join(parts)


def _sentence(spec: NetworkSpec) -> str:
    cells = ", ".join(f"{site.cell.kind} at {site.placement}" for site in spec.temporal) or "no temporal cell"
    branch = "" if spec.detail is None else f", detail branch at stride {spec.detail.stride}"
    return f"{len(spec.stages)} stages, output stride {spec.strides[-1]}{branch}, decoder {spec.decoder.kind}, {cells}"


def _blocks(spec: NetworkSpec) -> list[_Block]:
    cells = {site.placement: site for site in spec.temporal}
    strides = spec.strides
    blocks = [
        _Block("input", ("frame", f"scale {spec.input_scale}"), 0),
        _Block("stem", _stem_lines(spec.stem), spec.stem.stride.bit_length() - 1),
    ]
    for stage, stride in zip(spec.stages, strides, strict=True):
        blocks.append(_Block("stage", _stage_lines(stage), stride.bit_length() - 1))
    deepest = strides[-1].bit_length() - 1
    if spec.context != "none":
        blocks.append(_Block("context", ("context", spec.context), deepest))
    last = blocks[-1]
    blocks[-1] = _Block(last.role, last.lines, last.halvings, cells.get("bottleneck"))
    if spec.detail is not None:
        blocks.append(_Block("detail", _detail_lines(spec.detail), spec.detail.stride.bit_length() - 1))
    decoder = spec.decoder
    lines = ("decoder " + decoder.kind, f"{decoder.channels} channels", decoder.activation)
    head = spec.head_stride.bit_length() - 1
    blocks.append(_Block("decoder", lines, head, cells.get("decoder")))
    full = decoder.logits == "full"
    words = "to frame size" if full else f"at stride {spec.head_stride}"
    blocks.append(_Block("logits", ("logits", words), 0 if full else head, cells.get("logits")))
    return blocks


def _stem_lines(stem: StemSpec) -> tuple[str, ...]:
    kernel = 3 if stem.kind == "conv" else stem.factor * stem.kernel
    return f"stem {kernel}x{kernel} /{stem.stride}", f"{stem.channels} channels", stem.activation


def _detail_lines(detail: DetailSpec) -> tuple[str, ...]:
    start = "frame" if detail.stem is not None else f"stride {detail.stride}"
    depth = sum(stage.depth for stage in detail.units)
    return (
        "detail from " + start,
        f"{depth} blocks" if detail.exchange == "none" else f"{depth} blocks, {detail.exchange}",
        f"{detail.fusion} context",
        f"{detail.channels} channels",
    )


def _stage_lines(stage: StageSpec) -> tuple[str, ...]:
    conv = stage.conv
    expansion = f" x{stage.expansion}" if stage.expansion > 1 else ""
    dilation = f" dil {conv.dilation}" if conv.dilation > 1 else ""
    return (
        f"{stage.depth} {stage.block}{expansion}" + (f" {stage.depthwise}" if stage.depthwise != "between" else ""),
        f"{stage.channels} channels" + (f" /{stage.stride}" if stage.stride > 1 else ""),
        f"{conv.factorization} {conv.kernel}{dilation}",
        stage.activation,
    )


def _height(block: _Block) -> int:
    return TALLEST - STEP_DOWN * min(block.halvings, 4)


def _block_svg(block: _Block, left: float, middle: float) -> list[str]:
    height = _height(block)
    top = middle - height / 2
    centre = left + BLOCK_WIDTH / 2
    parts = [
        f'<rect x="{left}" y="{top:g}" width="{BLOCK_WIDTH}" height="{height}" rx="5" '
        f'fill="{FILLS[block.role]}" stroke="#546e7a"/>'
    ]
    first = middle - 6.5 * (len(block.lines) - 1) + 4
    parts += [_text(line, centre, first + 13 * number) for number, line in enumerate(block.lines)]
    if block.cell is not None:
        parts += _cell_svg(block.cell, centre, top)
    return parts


def _cell_svg(site: TemporalSite, centre: float, block_top: float) -> list[str]:
    top = 22
    left = centre - _CELL_WIDTH / 2
    right = centre + _CELL_WIDTH / 2
    return [
        f'<line x1="{centre}" y1="{block_top:g}" x2="{centre}" y2="{top + _CELL_HEIGHT}" stroke="#bf360c"/>',
        f'<path d="M {right - 12} {top} C {right} 2, {left} 2, {left + 12} {top}" fill="none" '
        'stroke="#bf360c" stroke-dasharray="3 2"/>',
        f'<rect x="{left}" y="{top}" width="{_CELL_WIDTH}" height="{_CELL_HEIGHT}" rx="10" '
        f'fill="{FILLS["cell"]}" stroke="#bf360c"/>',
        _text(f"{site.cell.kind} ({site.fusion})", centre, top + 14, room=_CELL_WIDTH - 8),
    ]


def _text(line: str, x: float, y: float, room: float = BLOCK_WIDTH - 8) -> str:
    """A centred line, smaller where it would not fit into `room` pixels."""
    size = min(11.0, room / (CHARACTER_WIDTH * max(len(line), 1)))
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:.3g}" text-anchor="middle">{escape(line)}</text>'


def _arrow(left: float, right: float, y: float) -> str:
    return (
        f'<path d="M {left} {y:g} L {right} {y:g} M {right - 5} {y - 4:g} L {right} {y:g} '
        f'L {right - 5} {y + 4:g}" fill="none" stroke="#37474f"/>'
    )


def _arc(blocks: Sequence[_Block], source: int, role: str, middle: float, bottom: float) -> str:
    """A line below the blocks, from block `source` to the one of this role."""
    target = next(i for i, block in enumerate(blocks) if block.role == role)
    x1, x2 = (GAP + i * (BLOCK_WIDTH + GAP) + BLOCK_WIDTH / 2 for i in (source, target))
    y1, y2 = (middle + _height(blocks[i]) / 2 for i in (source, target))
    low = bottom - 6
    return (
        f'<path class="skip" d="M {x1:g} {y1:g} C {x1:g} {low}, {x2:g} {low}, {x2:g} {y2:g}" fill="none" '
        'stroke="#2e7d32" stroke-width="1.5"/>'
    )
