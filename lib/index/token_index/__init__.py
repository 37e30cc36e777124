"""Index of token vectors: compressed storage, and candidate documents for an exact MaxSim."""

from lib.index.token_index.candidates import Candidates
from lib.index.token_index.index import TokenIndex
