-- A lease's token is a revision of its fleet: greater than all before, even if the row was swept.
CREATE TABLE leases (
    fleet INTEGER NOT NULL REFERENCES fleets (id),
    name TEXT NOT NULL,
    token INTEGER NOT NULL,
    holder TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (fleet, name)
) STRICT, WITHOUT ROWID;
