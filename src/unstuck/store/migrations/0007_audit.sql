-- The history proves itself to others: parts of its tree kept for short proofs, keys that replace each other,
-- and how far each place that is sent the checkpoints has taken them.

-- Roots of perfect subtrees of 2^8, 2^16 … leaves, so that a proof reads a few hundred rows and never the whole tree.
CREATE TABLE tile (
    height      smallint NOT NULL CHECK (height % 8 = 0),
    n           bigint NOT NULL,
    hash        bytea NOT NULL,
    PRIMARY KEY (height, n)
);

-- Which key signs checkpoints larger than `after`; from the second on, `note` is the statement the one before has signed.
CREATE TABLE signing_key (
    no          int PRIMARY KEY,
    verifier    text NOT NULL UNIQUE,
    after       bigint NOT NULL,
    note        text NOT NULL,
    at          timestamptz NOT NULL
);

CREATE TABLE shipment (
    destination text PRIMARY KEY,
    size        bigint NOT NULL DEFAULT 0,   -- of the last checkpoint that was taken there
    tries       int NOT NULL DEFAULT 0,      -- since then
    due         timestamptz NOT NULL,        -- a process at work on it moves this ahead, so that no other is
    because     text NOT NULL DEFAULT ''
);

CREATE TRIGGER tile_is_append_only BEFORE UPDATE OR DELETE ON tile FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER signing_key_is_append_only BEFORE UPDATE OR DELETE ON signing_key FOR EACH ROW EXECUTE FUNCTION refuse();

GRANT SELECT, INSERT ON tile, signing_key, shipment TO {app_role};
GRANT UPDATE ON shipment TO {app_role};
GRANT SELECT ON tile, signing_key, shipment TO {purge_role};
