-- failures: the newest failed attempts, a JSON array of [attempt, when in ms, text]; see
-- contract.failed_attempts.
ALTER TABLE jobs ADD COLUMN failures BLOB;
