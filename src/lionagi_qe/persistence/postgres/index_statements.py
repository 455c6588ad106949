"""The SQL of indexes; see ``statements`` and ``indexes``. $1 is the fleet, $2 the index's name."""

from __future__ import annotations

from lionagi_qe.persistence.postgres.columns import array

_ID = "(SELECT id FROM {schema}.indexes WHERE fleet = $1 AND name = $2)"
_COLUMNS = "number, key, revision, vector, terms, weights"
_NUMBERS = array("$3", "bigint")

_TEXTS = {
    "index_position": "SELECT position FROM {schema}.indexes WHERE fleet = $1 AND name = $2",
    "write_index": f"""
SELECT {{schema}}.write_index($1, $2, $3, $4, {array("$5", "bigint")}, {array("$6")},
    {array("$7", "bigint")}, {array("$8")}, {array("$9")}, {array("$10", "bigint")},
    {array("$11", "bigint")}, {array("$12", "integer")}, {array("$13", "bigint")})
""",
    "drop_index": "SELECT {schema}.drop_index_data($1, $2, $3)",
    "index_frequencies": f"""
SELECT i.documents, i.place, ARRAY (
    SELECT coalesce((
        SELECT t.documents FROM {{schema}}.index_terms t
        WHERE t.index_id = i.id AND t.term = wanted.term
    ), 0)
    FROM unnest({_NUMBERS}) WITH ORDINALITY AS wanted (term, place) ORDER BY wanted.place
)
FROM {{schema}}.indexes i WHERE i.fleet = $1 AND i.name = $2
""",
    # Of terms $3 with weights $4 up to $5 postings each, and the best $6 documents.
    "index_match": f"""
SELECT sum(p.score)::bigint, p.number
FROM unnest({_NUMBERS}, {array("$4", "bigint")}) AS wanted (term, weight)
CROSS JOIN LATERAL (
    SELECT -lightness * wanted.weight AS score, number FROM {{schema}}.index_postings
    WHERE index_id = {_ID} AND term = wanted.term ORDER BY lightness, number LIMIT $5
) AS p
GROUP BY p.number HAVING sum(p.score) > 0 ORDER BY 1 DESC, 2 LIMIT $6
""",
    "index_codes": f"""
SELECT place, number, code FROM {{schema}}.index_codes
WHERE index_id = {_ID} AND place > $3 ORDER BY place LIMIT $4
""",
    "index_documents": f"""
SELECT d.* FROM unnest({_NUMBERS}) AS wanted (number) CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM {{schema}}.index_documents
    WHERE index_id = {_ID} AND number = wanted.number LIMIT 1
) AS d
""",
    "index_numbers": f"""
SELECT number FROM {{schema}}.index_postings
WHERE index_id = {_ID} AND term = $3 ORDER BY lightness, number LIMIT $4
""",
    "index_holding": f"""
SELECT d.* FROM (
    SELECT lightness, number FROM {{schema}}.index_postings
    WHERE index_id = {_ID} AND term = $3 ORDER BY lightness, number LIMIT $4
) AS p CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM {{schema}}.index_documents
    WHERE index_id = {_ID} AND number = p.number LIMIT 1
) AS d ORDER BY p.lightness, p.number
""",
}

# As INDEX_TEXTS has them too, without terms.
_BARE = {
    f"{name}_bare": _TEXTS[name].replace(", terms, weights", "")
    for name in ("index_documents", "index_holding")
}
INDEX_TEXTS = {**_TEXTS, **_BARE}
