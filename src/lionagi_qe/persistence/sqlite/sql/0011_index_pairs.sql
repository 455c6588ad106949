-- Terms below zero, as pairs of coordinates are, aren't counted in index_terms any more: what is
-- indexed is made anew by the next recall.
DELETE FROM index_postings;
DELETE FROM index_documents;
DELETE FROM index_terms;
DELETE FROM indexes;
