-- Events out: who is told of what, how far each receiver is, and what could not be delivered yet.

CREATE TABLE subscription (
    id          uuid PRIMARY KEY,
    name        text NOT NULL CHECK (name <> ''),
    kind        text NOT NULL CHECK (kind <> ''),
    url         text NOT NULL,
    types       text[] NOT NULL,             -- globs over the types of published events
    settings    bytea NOT NULL DEFAULT '{}', -- what its kind needs: JSON
    owner       text NOT NULL,               -- who made it, and besides an administrator may change it
    state       text NOT NULL CHECK (state IN ('ACTIVE', 'PAUSED', 'DELETED')),
    version     int NOT NULL,
    seq         int NOT NULL,
    created_at  timestamptz NOT NULL,
    secret      bytea NOT NULL,              -- locked with a key that is no part of the database
    old_secret  bytea,
    old_until   timestamptz,
    -- The relay's own: how far it is, why it waits, who has it in hand.
    next_leaf   bigint NOT NULL CHECK (next_leaf >= 0),
    ahead       bigint[] NOT NULL DEFAULT '{}', -- leaves at or above next_leaf that are delivered already
    held_until  timestamptz,
    failures    int NOT NULL DEFAULT 0,      -- times in a row that the receiver could not take anything
    refusals    int NOT NULL DEFAULT 0,      -- messages in a row that it answered and did not take
    because     text NOT NULL DEFAULT '',
    delivered   bigint NOT NULL DEFAULT 0,
    delivered_at timestamptz,
    lease       timestamptz,
    fence       uuid,                        -- of the claim that may still record; a new one shuts out the old
    CHECK (state <> 'DELETED' OR secret = '')
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX one_subscription_per_name ON subscription (owner, name) WHERE state <> 'DELETED';

-- What a receiver answered and did not take, and what must wait behind it: one row for each leaf of a parked stream.
CREATE TABLE delivery (
    subscription uuid NOT NULL REFERENCES subscription,
    leaf        bigint NOT NULL,
    stream      uuid NOT NULL,
    state       text NOT NULL CHECK (state IN ('WAITING', 'DEAD')),
    tries       int NOT NULL,
    due         timestamptz,                 -- only the first of a stream has one
    status      int NOT NULL,
    because     text NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (subscription, leaf)
);
CREATE INDEX delivery_of_stream ON delivery (subscription, stream, leaf);
CREATE INDEX delivery_due ON delivery (subscription, due) WHERE due IS NOT NULL;

GRANT SELECT, INSERT, UPDATE ON subscription TO {app_role};
GRANT SELECT, INSERT, UPDATE, DELETE ON delivery TO {app_role};
GRANT SELECT, DELETE ON subscription, delivery TO {purge_role};
