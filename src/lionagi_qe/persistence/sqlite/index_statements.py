"""The SQL of indexes; see ``indexes``."""

from __future__ import annotations

FIND = "SELECT id, documents, position, place FROM indexes WHERE fleet = ? AND name = ?"
MAKE = "INSERT INTO indexes (fleet, name) VALUES (?, ?) RETURNING id, documents, position, place"
MOVE = "UPDATE indexes SET documents = documents + ?, position = ?, place = ? WHERE id = ?"
OLD = """
SELECT d.number, d.place, d.terms, d.weights FROM json_each(?) AS wanted
CROSS JOIN index_documents d ON d.index_id = ? AND d.number = wanted.value
"""
FORGET_CODE = "DELETE FROM index_codes WHERE index_id = ? AND place = ?"
FORGET_POSTING = """
DELETE FROM index_postings WHERE index_id = ? AND term = ? AND lightness = ? AND number = ?
"""
FORGET_DOCUMENT = "DELETE FROM index_documents WHERE index_id = ? AND number = ?"
ADD_DOCUMENT = "INSERT INTO index_documents VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
ADD_CODE = "INSERT INTO index_codes VALUES (?, ?, ?, ?)"
CODES = """
SELECT place, number, code FROM index_codes WHERE index_id = ? AND place > ? ORDER BY place LIMIT ?
"""
ADD_POSTING = "INSERT INTO index_postings VALUES (?, ?, ?, ?)"
COUNT_TERM = """
INSERT INTO index_terms VALUES (?, ?, ?)
ON CONFLICT (index_id, term) DO UPDATE SET documents = documents + excluded.documents
"""
FORGET_TERM = "DELETE FROM index_terms WHERE index_id = ? AND term = ? AND documents <= 0"
HAVING = "SELECT documents FROM index_terms WHERE index_id = ? AND term = ?"
# Of terms, a JSON list: the places in it of those that more documents have than are looked at.
LONG = """
SELECT wanted.key FROM json_each(?1) AS wanted WHERE EXISTS (
    SELECT 1 FROM index_postings WHERE index_id = ?2 AND term = wanted.value LIMIT 1 OFFSET ?3
)
"""
# Of terms, a JSON list, all that have them: a fifth of what a statement for each would take.
ALL = """
SELECT wanted.key, p.number, -p.lightness FROM json_each(?) AS wanted
CROSS JOIN index_postings p ON p.index_id = ? AND p.term = wanted.value
"""
HEAVIEST = """
SELECT number, -lightness * ? FROM index_postings
WHERE index_id = ? AND term = ? ORDER BY lightness, number LIMIT ?
"""
NUMBERS = """
SELECT number FROM index_postings WHERE index_id = ? AND term = ? ORDER BY lightness, number LIMIT ?
"""
_COLUMNS = "d.number, d.key, d.revision, d.vector"
_TERMS = ", d.terms, d.weights"


def documents(*, terms: bool) -> str:
    """Return the query for documents by their numbers, a JSON list."""
    return f"""
SELECT {_COLUMNS}{_TERMS if terms else ""} FROM json_each(?) AS wanted
CROSS JOIN index_documents d ON d.index_id = ? AND d.number = wanted.value
"""


def holding(*, terms: bool) -> str:
    """Return the query for the documents that have a term."""
    return f"""
SELECT {_COLUMNS}{_TERMS if terms else ""} FROM index_postings p
JOIN index_documents d ON d.index_id = p.index_id AND d.number = p.number
WHERE p.index_id = ? AND p.term = ? ORDER BY p.lightness, p.number LIMIT ?
"""


SOME = "SELECT number FROM index_documents WHERE index_id = ? LIMIT ?"
FORGET_INDEX = "DELETE FROM indexes WHERE id = ?"
