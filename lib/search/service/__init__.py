"""Serve collections over HTTP, with a page: `create_app(["pictures"])`."""

from lib.search.service.app import create_app
from lib.search.service.guards import Limits
