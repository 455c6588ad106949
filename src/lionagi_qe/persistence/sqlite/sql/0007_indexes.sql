-- What recall searches in, made from the entries. position: how far it has come with them.
CREATE TABLE indexes (
    id INTEGER PRIMARY KEY,
    fleet INTEGER NOT NULL REFERENCES fleets (id),
    name TEXT NOT NULL,
    documents INTEGER NOT NULL DEFAULT 0,
    position TEXT NOT NULL DEFAULT '',
    UNIQUE (fleet, name)
) STRICT;

-- terms, weights: what the document has and what each weighs in it, 8 and 4 bytes, little-endian.
-- vector: 32-bit floats.
CREATE TABLE index_documents (
    index_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    key TEXT NOT NULL,
    revision INTEGER NOT NULL,
    terms BLOB NOT NULL,
    weights BLOB NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (index_id, number)
) STRICT;

-- lightness: the weight, negative, so that the heaviest documents of a term come first.
CREATE TABLE index_postings (
    index_id INTEGER NOT NULL,
    term INTEGER NOT NULL,
    lightness INTEGER NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (index_id, term, lightness, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE index_terms (
    index_id INTEGER NOT NULL,
    term INTEGER NOT NULL,
    documents INTEGER NOT NULL,
    PRIMARY KEY (index_id, term)
) STRICT, WITHOUT ROWID;
