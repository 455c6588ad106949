-- The newest revision whose tombstone is no longer kept: whoever read nothing since before it may
-- have missed a deletion.
ALTER TABLE fleets ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0;
