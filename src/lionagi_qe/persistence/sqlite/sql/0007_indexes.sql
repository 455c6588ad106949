-- What recall searches in, made from the entries. position: how far it has come with them.
CREATE TABLE indexes (
    id INTEGER PRIMARY KEY,
    fleet INTEGER NOT NULL REFERENCES fleets (id),
    name TEXT NOT NULL,
    documents INTEGER NOT NULL DEFAULT 0,
    position TEXT NOT NULL DEFAULT '',
    UNIQUE (fleet, name)
) STRICT;

-- postings, weights: the document's terms and what each weighs, 8 and 4 bytes, little-endian.
CREATE TABLE index_documents (
    index_id INTEGER NOT NULL REFERENCES indexes (id),
    number INTEGER NOT NULL,
    key TEXT NOT NULL,
    terms BLOB NOT NULL,
    weights BLOB NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (index_id, number)
) STRICT;

-- Apart from the documents, as a search by meaning looks at all of them.
CREATE TABLE index_codes (
    index_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    code BLOB NOT NULL,
    PRIMARY KEY (index_id, number)
) STRICT, WITHOUT ROWID;

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
