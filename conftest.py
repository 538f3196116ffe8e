"""What nbval overlooks by itself, for `pytest --nbval-lax notebooks`.

1. Images as SVG, HTML tables and warnings differ between machines: they are not compared.
2. A magic that does not exist prints "UsageError" and nbval passes the cell: here it fails.
3. After the first failed cell the rest of that notebook is skipped: one cause, one failure.
"""

from __future__ import annotations

import pytest

NOT_COMPARED = ("text/html", "text/latex", "image/svg+xml", "stderr")


def is_notebook_cell(item: pytest.Item) -> bool:
    return hasattr(item, "cell_num") and hasattr(item.parent, "skip_compare")


def pytest_collectstart(collector: pytest.Collector) -> None:
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += NOT_COMPARED


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if is_notebook_cell(item) and (failed := getattr(item.parent, "failed_cell", None)):
        pytest.skip(f"{failed} of this notebook failed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item):
    result = yield
    for output in getattr(item, "test_outputs", None) or []:
        if output.output_type == "stream" and output.name == "stderr":
            usage = [line for line in output.text.splitlines() if line.startswith("UsageError")]
            if usage:
                item.raise_cell_error(usage[0])
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    if is_notebook_cell(item) and report.failed:
        item.parent.failed_cell = item.name
    return report
