-- Vectors are found by their codes instead of by pairs of coordinates: what is indexed is made anew by
-- the next recall. place: counts up with each document that is written; see Written.
DELETE FROM index_postings;
DELETE FROM index_documents;
DELETE FROM index_terms;
DELETE FROM indexes;

ALTER TABLE indexes ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
ALTER TABLE index_documents ADD COLUMN place INTEGER NOT NULL DEFAULT 0;

CREATE TABLE index_codes (
    index_id INTEGER NOT NULL,
    place INTEGER NOT NULL,
    number INTEGER NOT NULL,
    code BLOB NOT NULL,
    PRIMARY KEY (index_id, place)
) STRICT, WITHOUT ROWID;
