"""The page in a real browser: right numbers, texts as texts, keyboard, screen readers, no network."""

import csv
import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest

from opinion_assets.report.build import build_report
from opinion_assets.warehouse import tables
from tests.report.conftest import TIMEOUT_MS, Built
from tests.report.synthetic import CONDITIONS, HOSTILE, MODELS

pytestmark = pytest.mark.browser
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
VIEWS = ["#/map", "#/compare", "#/questions", "#/country/TUR", "#/about"]


def address(view: str, **values: str) -> str:
    return f"#/{view}?" + "&".join(f"{name}={quote(value)}" for name, value in values.items())


def shown(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def close_to(text: str, value: float, digits: int = 3) -> bool:
    """Whether the text is the value to its digits; a tie may be rounded either way."""
    return abs(float(text.replace("−", "-").replace("+", "").rstrip(" %")) - value) <= 0.5 * 10**-digits + 1e-6


@pytest.mark.parametrize(("metric", "base"), [("js_similarity", "e"), ("wasserstein", ""), ("kendall_tau", "")])
def test_the_ranking_shows_the_stored_means(visit, built: Built, metric: str, base: str) -> None:
    for model, condition in ((MODELS[0], CONDITIONS[0]), (MODELS[1], CONDITIONS[1])):
        page = visit(address("map", model=model, condition=condition, metric=f"{metric}|{base}"))
        page.wait_for_selector("table.ranking")
        rows = page.eval_on_selector_all(
            "table.ranking tbody tr", "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))"
        )
        stored = built.query(
            "SELECT country, mean, ci_low, ci_high, n_questions FROM similarity.country"
            " WHERE model_version = ? AND condition = ? AND metric = ? AND base = ?",
            model, condition, metric, base,
        )  # fmt: skip
        expected = {f"Country {code}": rest for code, *rest in stored}
        assert len(rows) == len(expected) > 10
        for name, _, mean, interval, _, n in rows:
            value, low, high, n_questions = expected[name.rstrip("†")]
            assert close_to(mean, value)
            if low is None:
                assert interval == "–"
            else:
                ends = interval.split(" to ")
                assert close_to(ends[0], low)
                assert close_to(ends[1], high)
            assert n == str(n_questions)
            assert name.endswith("†") == (n_questions < 30)


def test_the_country_page_shows_stored_distributions_and_similarities(visit, built: Built) -> None:
    page = visit(address("country/TUR", model=MODELS[1], condition=CONDITIONS[2]))
    page.wait_for_selector(".questions > li")
    cards = page.eval_on_selector_all(
        ".questions > li",
        # Not innerText: cards that are not in sight are not laid out.
        "items => items.map(item => [item.querySelector('h3').textContent,"
        " item.querySelector('.verdict b').textContent,"
        " [...item.querySelectorAll('.bars tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))])",
    )
    assert len(cards) > 5
    for text, value, answers in cards:
        [(stored,)] = built.query(
            "SELECT value FROM similarity.question_country JOIN question.question USING (source, question_id)"
            " WHERE text = ? AND country = 'TUR' AND model_version = ? AND condition = ? AND metric = 'js_similarity'"
            " AND base = 'e'",
            text, MODELS[1], CONDITIONS[2],
        )  # fmt: skip
        assert close_to(value, stored)
        rows = built.query(
            "SELECT option, share, probability FROM question.question JOIN question.option USING (question_id)"
            " JOIN question.human_distribution USING (question_id, option_index)"
            " JOIN response.distribution USING (question_id, option_index)"
            " WHERE text = ? AND country = 'TUR' AND model_version = ? AND condition = ? ORDER BY option_index",
            text, MODELS[1], CONDITIONS[2],
        )  # fmt: skip
        for (option, people, model), (option_stored, share, probability) in zip(answers, rows, strict=True):
            assert option == option_stored
            assert close_to(people, share * 100, 1)
            assert close_to(model, probability * 100, 1)
    values = [float(value) for _, value, _ in cards]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize(
    ("view", "table"), [("map", "regions"), ("country/TUR", "topics"), ("country/TUR", "references")]
)
def test_regions_topics_and_references_lead_to_the_stored_number(visit, built: Built, view: str, table: str) -> None:
    page = visit(address(view, model=MODELS[1], condition="default"))
    number = page.locator(f"table.{table} a.number").first
    value = number.inner_text()
    number.click()
    [row] = built.query(page.get_by_role("dialog").locator("pre.sql").inner_text())
    assert close_to(value, row[0])


def test_texts_of_a_source_are_shown_as_text(visit, built: Built) -> None:
    page = visit("#/questions")
    page.wait_for_selector("table.list")
    text = page.inner_text("table.list")
    for hostile in HOSTILE[:4]:
        assert hostile in text
    for [question] in built.query("SELECT question_id FROM question.question WHERE text LIKE '%statement_0%' LIMIT 1"):
        page.goto(page.url.split("#")[0] + f"#/question/{question}")
        page.wait_for_selector("table.people")
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img, main script, main style").count() == 0


def test_from_the_map_to_prompt_answer_source_and_code_in_two_clicks(visit, built: Built) -> None:
    page = visit("#/map")
    page.locator("a[data-code=TUR]").click()
    page.get_by_role("link", name="Prompt, answer and source:").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Probability on letters").wait_for()
    text = dialog.inner_text()
    asked = json.loads(page.evaluate("new URLSearchParams(location.hash.split('?')[1]).get('why')"))
    [(prompt, digest)] = built.query(
        "SELECT prompt, request_hash FROM response.answer"
        " WHERE model_version = ? AND condition = ? AND question_id = ?",
        asked[1], asked[2], asked[4],
    )  # fmt: skip
    assert dialog.locator("pre.prompt").inner_text() == prompt
    assert digest in text
    [(sha256,)] = built.query("SELECT sha256 FROM survey.snapshot")
    for part in (sha256, "run-of-similarity.question_country", "code-of-question_country", "CC0-1.0"):
        assert part in text
    value = re.match(r"Similarity ([\d.]+)", dialog.get_by_role("heading").first.inner_text())
    [row] = built.query(dialog.locator("pre.sql").inner_text())
    assert value
    assert close_to(value[1], row[0])
    assert row[1] == prompt


@pytest.mark.parametrize("number", [0, 7])
def test_the_query_behind_a_mean_gives_the_mean(visit, built: Built, number: int) -> None:
    page = visit("#/map")
    link = page.locator("table.ranking a.number").nth(number)
    value = link.inner_text()
    link.click()
    [row] = built.query(page.get_by_role("dialog").locator("pre.sql").inner_text())
    assert close_to(value, row[0])


def test_a_comparison_and_its_mirror(visit, built: Built) -> None:
    stored = {
        f"Country {code}": difference
        for code, difference in built.query(
            "SELECT country, difference FROM similarity.model_comparison WHERE model_version_a = ? AND"
            " model_version_b = ? AND condition_a = 'default' AND metric = 'js_similarity' AND base = 'e'",
            *MODELS,
        )
    }
    for sign, (a, b) in ((1, MODELS), (-1, MODELS[::-1])):
        page = visit(address("compare", model=a, condition="default", model_b=b, condition_b="default"))
        page.wait_for_selector("table.comparison")
        rows = page.eval_on_selector_all(
            "table.comparison tbody tr", "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))"
        )
        assert len(rows) == len(stored) > 10
        for name, difference, *_ in rows:
            assert close_to(difference, sign * stored[name.rstrip("†")])
        page.locator("table.comparison a.number").first.click()
        [row] = built.query(page.get_by_role("dialog").locator("pre.sql").inner_text())
        assert close_to(rows[0][1], sign * row[0])


def test_a_comparison_that_is_not_stored_says_so(visit) -> None:
    page = visit(
        address("compare", model=MODELS[0], condition="default", model_b=MODELS[1], condition_b="linguistic:es")
    )
    assert "This comparison is not computed" in page.locator(".notice").inner_text()


def test_map_table_and_dialog_by_keyboard(visit) -> None:
    page = visit("#/map")
    assert page.locator(".map a[tabindex='0']").count() == 1
    page.locator(".map a[tabindex='0']").focus()
    first = page.evaluate("document.activeElement.dataset.code")
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert re.search(r"Similarity 0\.\d{3}, 95 % interval .* to .*questions", label)
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowRight"):
        page.keyboard.press(key)
    moved = page.evaluate("document.activeElement.dataset.code")
    assert moved != first
    assert page.locator(".map a[tabindex='0']").get_attribute("data-code") == moved
    page.keyboard.press("Enter")
    page.wait_for_selector(".view-country")
    assert page.evaluate("document.activeElement.tagName") == "H1"
    assert page.evaluate("document.title").startswith(f"Country {moved}")
    page.locator("a.number").first.focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog:not([open])", state="attached")
    assert "why=" not in page.url


def test_sorting_searching_and_the_back_button(visit) -> None:
    from playwright.sync_api import expect

    expect.set_options(timeout=TIMEOUT_MS)
    page = visit("#/map")
    first = page.locator("table.ranking tbody th").first
    page.get_by_role("button", name="Country").click()
    assert page.locator("table.ranking th[aria-sort=ascending]").inner_text().startswith("Country")
    expect(first).to_contain_text("ARG")
    page.get_by_role("button", name="Country").click()
    expect(page.locator("table.ranking th[aria-sort=descending]")).to_have_count(1)
    page.get_by_label("Search country or region").fill("region a")
    expect(page.locator("table.ranking tbody tr")).to_have_count(15)
    expect(page.get_by_role("status").first).to_contain_text("15 countries match")
    page.get_by_label("Condition").select_option("linguistic:es")
    page.locator("table.ranking tbody a").first.click()
    page.wait_for_selector(".view-country")
    page.locator(".filters select").first.select_option("Religion")
    page.wait_for_function("location.hash.includes('topic=Religion')")
    assert page.locator(".questions > li").count() > 0
    assert all(text.startswith("Religion") for text in page.locator(".questions p.soft").all_inner_texts())
    page.get_by_label("Search questions").fill("no such question anywhere")
    expect(page.locator(".questions > li")).to_have_count(0)
    page.go_back()
    page.go_back()
    page.wait_for_selector(".view-map")
    assert page.get_by_label("Condition").input_value() == "linguistic:es"


ORDER = "[...document.querySelectorAll('table.ranking tbody th')].map((cell) => cell.textContent)"


@pytest.mark.parametrize("printed", [False, True])
def test_a_long_table_is_drawn_in_turn_and_printed_whole(visit, printed: bool) -> None:
    page = visit("#/map")
    before = page.evaluate(ORDER)
    first, drawing, faded = page.evaluate(
        """async (printed) => {
          document.querySelector('table.ranking th button').click();
          await Promise.resolve();
          const [top, rest] = document.querySelectorAll('table.ranking tbody');
          const shown = [[...top.rows].map((row) => row.cells[0].textContent),
            document.documentElement.dataset.drawing, getComputedStyle(rest).opacity];
          if (printed) dispatchEvent(new Event('beforeprint'));
          return shown;
        }""",
        printed,
    )
    assert first == sorted(before)[:25]
    # What is still to be drawn shows no old number.
    assert (drawing, faded) == ("true", "0")
    if not printed:
        page.wait_for_selector("html:not([data-drawing])")
    assert page.evaluate(ORDER) == sorted(before)
    assert len(before) == 30
    assert page.evaluate("getComputedStyle(document.querySelectorAll('table.ranking tbody')[1]).opacity") == "1"


def test_what_is_behind_a_number_opens_over_an_unchanged_view(visit) -> None:
    page = visit("#/map")
    page.evaluate(
        "window.changes = 0; new MutationObserver((all) => { window.changes += all.length; })"
        ".observe(document.querySelector('main'), {subtree: true, childList: true, attributes: true});"
    )
    page.locator("table.ranking a.number").first.click()
    page.get_by_role("dialog").locator("pre.sql").wait_for()
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog:not([open])", state="attached")
    assert page.evaluate("window.changes") == 0
    page.get_by_role("button", name="Country").click()
    page.wait_for_selector("table.ranking th[aria-sort=ascending]")
    assert page.evaluate("window.changes") > 0


def test_the_downloaded_table_is_the_stored_one(visit, built: Built, tmp_path: Path) -> None:
    page = visit(address("map", model=MODELS[0], condition="default"))
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").first.click()
    file = tmp_path / "table.csv"
    download.value.save_as(file)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines))
    stored = dict(
        built.query(
            "SELECT country, mean FROM similarity.country WHERE model_version = ? AND condition = 'default'"
            " AND metric = 'js_similarity' AND base = 'e'",
            MODELS[0],
        )
    )
    assert {row["country"]: float(row["mean"]) for row in rows} == pytest.approx(stored, abs=1e-6)
    assert {row["metric"] for row in rows} == {"js_similarity"}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_serious_accessibility_finding(visit, theme: str) -> None:
    page = visit("#/map", theme=theme)
    question = page.evaluate("meta.question_ids[3]")
    why = "why=" + json.dumps(["mean", MODELS[0], "default", "made_up", "TUR", "national", "", ""])
    for view in [*VIEWS, f"#/question/{question}", f"#/country/TUR?{why}"]:
        page.goto(page.url.split("#")[0] + view)
        page.wait_for_selector("main h1")
        page.wait_for_function("!document.querySelector('main').innerText.includes('Unpacking')")
        # Through the debugger: the page's own policy lets no script in.
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        serious = [
            (item["id"], item["nodes"][0]["html"][:200], item["nodes"][0]["failureSummary"])
            for item in found["violations"]
            if item["impact"] in ("serious", "critical")
        ]
        assert serious == [], view


def test_nothing_sticks_out_of_a_narrow_window(visit) -> None:
    for view in VIEWS:
        page = visit(view, width=390)
        page.wait_for_function("!document.querySelector('main').innerText.includes('Unpacking')")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, view


def test_print_shows_the_selection_and_no_controls(visit) -> None:
    page = visit("#/map", theme="dark")
    page.emulate_media(media="print")
    assert not page.locator(".controls").is_visible()
    assert not page.locator("header.top").is_visible()
    assert page.locator(".selection").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    # Buttons are not repeated with the head on further pages, so the head is printed without them.
    assert not page.locator("table.ranking th button").first.is_visible()
    head = "getComputedStyle(document.querySelector('table.ranking th'), '::before').content"
    assert page.evaluate(head) == '"Country"'
    assert page.pdf().startswith(b"%PDF")


def test_an_open_origin_is_printed_alone_from_its_beginning(visit) -> None:
    page = visit("#/map")
    page.locator("table.ranking a.number").first.click()
    page.get_by_role("dialog").locator("pre.sql").wait_for()
    page.evaluate("document.querySelector('dialog').scrollTop = 1e6")
    page.emulate_media(media="print")
    assert not page.locator("main").is_visible()
    box = page.get_by_role("dialog").bounding_box()
    assert (box["x"], box["y"]) == (0, 0)
    assert page.get_by_role("dialog").get_by_role("heading").first.bounding_box()["y"] >= 0
    assert page.evaluate("getComputedStyle(document.querySelector('dialog')).overflow") == "visible"


def test_what_was_left_out_for_size_is_said(visit, built: Built, tmp_path: Path) -> None:
    small, limit = tmp_path / "small.html", built.page.stat().st_size - 20_000
    with built.store.working_copy(list(tables())) as connection:
        summary = build_report(connection, small, max_bytes=limit)
    assert summary.n_bytes <= limit
    kind, number, metric, base = summary.omitted[-1].split("|")
    assert kind == "value"
    page = visit("#/about", path=small)
    assert "Left out to keep it small: " in page.inner_text("main")
    part = page.evaluate(f"meta.partitions[{number}]")
    view = address("country/TUR", model=part["model_version"], condition=part["condition"], metric=f"{metric}|{base}")
    page = visit(view, path=small)
    page.wait_for_selector(".questions")
    assert "not in this file" in page.locator(".notice").inner_text()


def test_a_warehouse_without_scores_says_so(visit, tmp_path: Path) -> None:
    from opinion_assets.warehouse import Store

    with Store(tmp_path / "empty").working_copy([]) as connection:
        build_report(connection, tmp_path / "empty.html")
    page = visit("#/map", path=tmp_path / "empty.html")
    assert "Nothing is scored yet" in page.inner_text("main")
