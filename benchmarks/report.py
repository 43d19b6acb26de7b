"""The report on 2,555 questions, 2 models and 3 conditions in headless Chromium: size, speed, accessibility.

    python -m benchmarks.report [--questions 2555] [--keep FOLDER]

The answers are made up (tests/report/synthetic.py). Alternative for the size: the same blocks as plain, uncompressed
text. Opening is from the start of navigation to the drawn page; an interaction from the event to the next frame after
the page shows its result. Median and worst of five, the median of what the page's own thread computed meanwhile,
which other work on the machine does not lengthen, and the median until the rows below, which follow frame by frame,
are drawn too. Files only, no server.
"""

import argparse
import base64
import gzip
import json
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import CDPSession, Page, sync_playwright

from opinion_assets.report.build import build_report
from opinion_assets.warehouse import Store
from tests.report.conftest import CHROMIUM, FLAGS
from tests.report.synthetic import CONDITIONS, MODELS, warehouse

AXE = Path(__file__).parents[1] / "tests" / "report" / "vendor" / "axe.min.js"
VIEWS = ("map", "compare", "questions", "country/TUR", "about")
# $ and $$ find one element or all by selector.
MEASURE = """async ({act, done}) => {
  const find = [(selector) => document.querySelector(selector), (selector) => [...document.querySelectorAll(selector)]];
  const shown = new Function("$", "$$", `return ${done}`);
  const work = new Function("$", "$$", act);
  const start = performance.now();
  work(...find);
  while (!shown(...find)) await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  window.measuredFrom = start;
  return performance.now() - start;
}"""
DRAWN = """async () => {
  while (document.documentElement.dataset.drawing) await new Promise(requestAnimationFrame);
  return performance.now() - window.measuredFrom;
}"""
CHOOSE = """const field = $$('{where} .field').find((f) => f.firstElementChild.textContent === '{label}');
const menu = field.querySelector('select');
menu.value = '{value}';
menu.dispatchEvent(new Event('change', {{bubbles: true}}));"""
TYPE = """$('input[type=search]').value = '{value}';
$('input[type=search]').dispatchEvent(new Event('input', {{bubbles: true}}));"""


@dataclass(frozen=True)
class Interaction:
    """What is done in a view, and what holds once the page shows its result; both JavaScript."""

    name: str
    view: str
    act: str
    done: str


INTERACTIONS = (
    Interaction(
        "another model",
        "map",
        CHOOSE.format(where=".controls", label="Model version", value=MODELS[1]),
        f"$('.selection b').textContent === '{MODELS[1]}'",
    ),
    Interaction(
        "another condition",
        "map",
        CHOOSE.format(where=".controls", label="Condition", value=CONDITIONS[1]),
        "$('.selection').textContent.includes('as someone')",
    ),
    Interaction(
        "sort the ranking",
        "map",
        "$('table.ranking th button').click()",
        "$('table.ranking th').getAttribute('aria-sort') === 'ascending'",
    ),
    Interaction("search a country", "map", TYPE.format(value="tur"), "$$('table.ranking tbody tr').length < 5"),
    Interaction("open a country", "map", "location.hash = '#/country/TUR'", "$('.questions > li')"),
    Interaction(
        "search its questions",
        "country/TUR",
        TYPE.format(value="statement 11"),
        "$$('.questions h3').length && $$('.questions h3').every((h) => h.textContent.includes('statement 11'))",
    ),
    Interaction(
        "another topic",
        "country/TUR",
        CHOOSE.format(where=".filters", label="Topic", value="Religion"),
        "$$('.questions p.soft').every((p) => p.textContent.startsWith('Religion'))",
    ),
    Interaction("prompt and answer", "country/TUR", "$('.questions a.number').click()", "$('dialog[open] pre.prompt')"),
    Interaction("list of questions", "map", "location.hash = '#/questions'", "$('table.list tbody tr')"),
    Interaction(
        "search all questions",
        "questions",
        TYPE.format(value="statement 1234"),
        "$$('table.list tbody tr').length === 1",
    ),
    Interaction("compare", "map", "location.hash = '#/compare'", "$('table.comparison tbody tr')"),
)


def computed(session: CDPSession) -> float:
    """Milliseconds of processor time of the page's main thread so far."""
    metrics = {item["name"]: item["value"] for item in session.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"]) * 1000


def opened(page: Page, url: str, view: str) -> float:
    """Open a view in a fresh page; milliseconds to the drawn page."""
    page.goto("about:blank")
    page.goto(f"{url}#/{view}")
    page.wait_for_selector("html[data-ready=true]")
    return float(page.evaluate("performance.getEntriesByName('report-ready')[0].startTime"))


def report(name: str, times: list[float], busy: list[float], limit: int, drawn: Sequence[float] = ()) -> None:
    """One line for five measurements, milliseconds."""
    median, worst, own = sorted(times)[2], max(times), sorted(busy)[2]
    rest = f"; all drawn {sorted(drawn)[2]:4.0f} ms" if drawn else ""
    print(
        f"{name:24} median {median:4.0f} ms, worst {worst:4.0f} ms (≤ {limit:,} ms); computing {own:4.0f} ms{rest}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=2555)
    parser.add_argument("--keep", type=Path, help="keep warehouse and page here, and use them if they are there")
    arguments = parser.parse_args()
    folder = arguments.keep or Path(tempfile.mkdtemp())
    store = Store(folder)
    if not store.warehouse_path.exists():
        start = time.perf_counter()
        warehouse(folder, n_questions=arguments.questions, n_countries=138, per_country=0.13)
        print(f"warehouse made in {time.perf_counter() - start:.0f} s")
    path = folder / "index.html"
    with store.connect(read_only=True) as connection:
        start = time.perf_counter()
        summary = build_report(connection, path)
        print(f"report built in {time.perf_counter() - start:.1f} s", flush=True)
        (counted,) = connection.table("similarity.question_country").aggregate("count(*)").fetchall()
    blocks = re.findall(r"<script type=\"text/plain\"[^>]*>([^<]*)</script>", path.read_text(encoding="utf-8"))
    plain = sum(len(gzip.decompress(base64.b64decode(text))) for text in blocks)
    print(f"{counted[0]:,} similarities; left out: {', '.join(summary.omitted) or 'nothing'}")
    print(f"file {summary.n_bytes / 1e6:.2f} MB, {summary.n_bytes / plain:.2f} of its blocks uncompressed (≤ 15 MB)")
    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        url = path.as_uri()
        page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
        page.on("console", lambda message: message.type == "error" and problems.append(message.text))
        page.on("request", lambda request: request.url.startswith((url, "about:")) or problems.append(request.url))
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        times, busy = [], []
        for _ in range(5):
            page.goto("about:blank")
            before = computed(session)
            times.append(opened(page, url, "map"))
            busy.append(computed(session) - before)
        report("open", times, busy, 2000)
        print(f"heap {page.evaluate('performance.memory.usedJSHeapSize') / 1e6:.0f} MB")
        for item in INTERACTIONS:
            times, busy, drawn = [], [], []
            for _ in range(5):
                opened(page, url, item.view)
                page.wait_for_selector("html[data-unpacked=true]", state="attached", timeout=120_000)
                before = computed(session)
                times.append(page.evaluate(MEASURE, {"act": item.act, "done": item.done}))
                busy.append(computed(session) - before)
                drawn.append(page.evaluate(DRAWN))
            report(item.name, times, busy, 100, drawn)
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            why = quote(json.dumps(["mean", MODELS[0], "default", "made_up", "TUR", "national", "", ""]))
            for view in (*VIEWS, f"country/TUR?why={why}"):
                opened(page, url, view)
                page.wait_for_selector("html[data-unpacked=true]", state="attached", timeout=120_000)
                page.evaluate(AXE.read_text(encoding="utf-8"))
                found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
                levels = [f"{item['id']} ({item['impact']})" for item in found]
                print(f"axe-core, {theme}, {view.split('?')[0]}: {', '.join(levels) or 'no finding'}")
        browser.close()
    print(f"script errors and requests: {problems or 'none'}")


if __name__ == "__main__":
    main()
