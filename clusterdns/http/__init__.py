"""What is asked over HTTP: the pages for operators and probes, and those of the admin socket."""

from clusterdns.http.admin import Page, serve
from clusterdns.http.pages import Views

__all__ = ["Page", "Views", "serve"]
