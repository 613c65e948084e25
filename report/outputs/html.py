"""The whole report as one HTML file that loads nothing else."""

import jinja2

from report.model import Report
from report.outputs import phrases


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
    return template.render(report=report, phrases=phrases)
