"""The HTML page of a search, whole and without network. Knows nothing of where it is written.

Every text from a recipe, a trial or a dataset goes through `escape`; the page carries a policy that forbids
scripts and any connection.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from html import escape

from nas.report.diagram import architecture_svg
from nas.report.history import best_so_far, volume_so_far
from nas.report.next_steps import next_commands
from nas.report.plots import front_svg, history_svg
from nas.report.tables import Rows, front_rows, trial_rows
from nas.result import Result, architecture_of
from search_spaces.architecture import NetworkSpec
from search_spaces.door import dump_json

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;color:#212121;background:#fff}
h1{font-size:1.6rem}h2{margin-top:2.2rem;font-size:1.2rem;border-bottom:1px solid #cfd8dc}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .6rem;border-bottom:1px solid #eceff1;text-align:left}
.scroll{overflow-x:auto}svg{max-width:100%;height:auto}
.scroll svg{max-width:none}
pre{background:#f5f5f5;padding:.7rem;overflow-x:auto}.note{color:#546e7a}
tr.failed td{color:#b71c1c}tr.infeasible td{color:#8d6e00}tr.front td{font-weight:600}
figure{display:inline-block;margin:0 1rem 1rem 0}img{max-width:100%}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

_NOISE = (
    "Horizontal bars: 95 % interval of the latency over measuring rounds. Accuracies come from one training "
    "with one seed each: trained again with another seed they differ, and a gap smaller than that spread "
    "decides nothing. Train the networks you consider with several seeds before you choose."
)


def page(result: Result, machine: Mapping[str, str], examples: Mapping[str, bytes]) -> str:
    """The page. `machine` are facts of where the search ran, `examples` PNG files by caption.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    title = f"vidseg-nas: {result.recipe.searcher} on {result.recipe.space}"
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            *_summary(result),
            *_front(result),
            *_history(result),
            *_architectures(result),
            *_examples(examples),
            "<h2>All trials</h2>",
            *_table(trial_rows(result), status_column=1),
            *_facts(result, machine),
            *_go_on(result),
            "</body></html>\n",
        )
    )


def _summary(result: Result) -> Iterable[str]:
    counts = ", ".join(f"{number} {status}" for status, number in result.counts().items())
    yield (
        f"<p>{len(result.candidates)} trials ({escape(counts)}); {len(result.front)} networks on the front. "
        f"Objectives: {escape(', '.join(result.recipe.objectives))}. Target: "
        f"<code>{escape(result.recipe.target)}</code>. Data: <code>{escape(result.recipe.data)}</code>.</p>"
    )


def _front(result: Result) -> Iterable[str]:
    yield "<h2>The front</h2>"
    if not result.front:
        yield "<p>No trial is complete, so there is no front yet.</p>"
    yield front_svg(result.candidates, result.front, result.recipe.objectives)
    yield f'<p class="note">{escape(_NOISE)}</p>'
    yield from _table(front_rows(result))


def _history(result: Result) -> Iterable[str]:
    objective = result.recipe.objectives[0]
    yield "<h2>How it went</h2>"
    yield history_svg(best_so_far(result), volume_so_far(result), objective)
    if len(result.recipe.objectives) == 2:
        yield (
            '<p class="note">The hypervolume is that of the front so far; its reference point is the worst '
            "value of each objective among the complete trials of this search.</p>"
        )


def _architectures(result: Result) -> Iterable[str]:
    yield "<h2>The networks of the front</h2>"
    for trial in result.front:
        architecture = architecture_of(trial)
        yield f"<h3>#{trial.number} <code>{escape(architecture.key[:12])}</code></h3>"
        if isinstance(architecture.network, NetworkSpec):
            yield f'<div class="scroll">{architecture_svg(architecture.network)}</div>'
        text = json.dumps(json.loads(architecture.to_json()), indent=1)
        yield f"<details><summary>architecture as JSON</summary><pre>{escape(text)}</pre></details>"


def _examples(examples: Mapping[str, bytes]) -> Iterable[str]:
    if examples:
        yield "<h2>Example frames</h2>"
    for caption, png in examples.items():
        data = base64.b64encode(png).decode()
        yield (
            f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
        )


def _table(rows: Rows, status_column: int | None = None) -> Iterable[str]:
    yield '<div class="scroll"><table><thead><tr>'
    yield "".join(f"<th>{escape(name)}</th>" for name in rows.header) + "</tr></thead><tbody>"
    for row in rows.cells:
        kind = f' class="{escape(row[status_column])}"' if status_column is not None else ""
        yield f"<tr{kind}>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
    yield "</tbody></table></div>"


def _facts(result: Result, machine: Mapping[str, str]) -> Iterable[str]:
    yield "<h2>The facts</h2><p>The recipe, as it was resolved:</p>"
    yield f"<pre>{escape(json.dumps(json.loads(dump_json(result.recipe)), indent=1))}</pre>"
    if machine:
        yield from _table(Rows(("machine", ""), tuple(machine.items())))


def _go_on(result: Result) -> Iterable[str]:
    yield "<h2>Go on</h2>"
    yield f"<pre>{escape(chr(10).join(next_commands(result)))}</pre>"
