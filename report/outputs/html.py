"""The whole report as one HTML file that loads nothing else."""

import jinja2

from report.model import Report
from report.outputs.phrases import (
    acceptance,
    advice,
    diff,
    heading,
    level,
    short_type,
    stamp,
    values,
    why,
    word,
)


def write(report: Report) -> str:
    """Return the page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("report.outputs", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("page.html.j2")
    return template.render(
        report=report,
        heading=heading(report),
        level=level,
        acceptance=acceptance(report.unaccepted),
        diff=diff,
        values=values,
        word=word,
        why=why,
        advice=advice,
        short_type=short_type,
        stamp=stamp,
    )
