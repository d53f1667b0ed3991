"""The pages that a person reads: the whole report, the data quality, the learning curves, the profile of a table.

Each is one HTML file that needs nothing else: no script, no network, charts as inline SVG. `wording` and `charts` are
pure; `pages` reads the artifacts and renders the templates, which escape every text that comes from data.
"""

from runwright_components.report.pages import curves_page, profile_page, quality_page, report_page

__all__ = ["curves_page", "profile_page", "quality_page", "report_page"]
