"""A made-up warehouse, the report on it, and headless Chromium."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from opinion_assets.report.build import build_report
from opinion_assets.warehouse import Store, tables
from tests.report.synthetic import warehouse

CHROMIUM = "/usr/bin/chromium"
# For whatever is waited for in the browser: the machine may be busy.
TIMEOUT_MS = 120_000
# As root, in a container, on a machine whose network is closed.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True)
class Built:
    """A warehouse and the report on it."""

    store: Store
    page: Path

    def query(self, sql: str, *values: object) -> list[tuple]:
        with duckdb.connect(str(self.store.warehouse_path), read_only=True) as connection:
            return connection.execute(sql, list(values)).fetchall()


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("report")
    store = warehouse(folder, n_countries=30)  # more than a table draws at once
    page = folder / "report" / "index.html"
    with store.working_copy(list(tables())) as connection:
        build_report(connection, page)
    return Built(store, page)


# Not for the session: playwright runs an event loop in this thread for as long as it is open.
@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or CHROMIUM
    if not Path(path).exists():
        pytest.skip("Chromium is not installed: the page was not opened in a browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS, timeout=TIMEOUT_MS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, built: Built) -> Iterator[Callable]:
    """Open the report, at a view, in a fresh window; afterwards: no script error, and nothing asked of a network."""
    contexts, problems = [], []

    def open_page(view: str = "#/map", *, path: Path | None = None, width: int = 1280, theme: str = "light"):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, accept_downloads=True, reduced_motion="reduce"
        )
        context.set_default_timeout(TIMEOUT_MS)
        contexts.append(context)
        page = context.new_page()
        url = (path or built.page).as_uri()
        page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
        page.on("console", lambda message: message.type == "error" and problems.append(f"console: {message.text}"))
        own = (url, "blob:")
        page.on(
            "request",
            lambda request: request.url.startswith(own) or problems.append(f"request: {request.url}"),
        )
        page.goto(url + view)
        page.wait_for_selector("html[data-ready=true]:not([data-drawing])")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []
