-- The door: failures that others report, about orders that may not be ours, from sources that have a heartbeat.

ALTER TABLE fallout_case
    ALTER COLUMN order_id DROP NOT NULL,
    ADD COLUMN source         text NOT NULL DEFAULT '',   -- who reported it; empty: our own engine saw it
    ADD COLUMN order_ref      text NOT NULL DEFAULT '',   -- the order in the words of its source
    ADD COLUMN order_version  text NOT NULL DEFAULT '',   -- opaque: only ever compared
    ADD COLUMN customer       text NOT NULL DEFAULT '',
    ADD COLUMN correlation_id text NOT NULL DEFAULT '',
    ADD COLUMN category_hint  text NOT NULL DEFAULT '',
    ADD COLUMN severity_hint  text NOT NULL DEFAULT '',
    ADD CONSTRAINT case_is_about_something CHECK (order_id IS NOT NULL OR source <> '');
-- What people type: FC-1042, ORD-1042.
CREATE UNIQUE INDEX case_by_number ON fallout_case (number);
CREATE UNIQUE INDEX order_by_number ON orders (number);
-- An order that comes after its failure finds the cases that wait for it; a reference that names no source finds its order.
CREATE INDEX case_waits_for_order ON fallout_case (order_ref) WHERE order_id IS NULL AND order_ref <> '';
CREATE INDEX order_by_external_id ON orders (external_id);
-- A failure that comes back after its case was closed: reopened or new, as the pack says.
CREATE INDEX case_by_failure ON fallout_case (dedup_key, detected_at DESC);

-- A failure event as it came, once for each event of its source: what makes reporting twice harmless.
CREATE TABLE failure_event (
    source      text NOT NULL CHECK (source <> ''),
    event_id    text NOT NULL CHECK (event_id <> ''),
    at          timestamptz NOT NULL,
    case_id     uuid NOT NULL REFERENCES fallout_case,
    was         text NOT NULL CHECK (was IN ('new', 'joined', 'reopened')),
    sha256      text NOT NULL,
    body        bytea NOT NULL,
    PRIMARY KEY (source, event_id)
);
CREATE INDEX failure_event_of_case ON failure_event (case_id);
CREATE TRIGGER failure_event_is_immutable BEFORE UPDATE OR DELETE ON failure_event
    FOR EACH ROW EXECUTE FUNCTION refuse();

-- A system that reports: how often it must be heard, what it answers to, how its orders are resumed.
CREATE TABLE source (
    id          uuid PRIMARY KEY,
    name        text NOT NULL UNIQUE CHECK (name <> ''),
    title       text NOT NULL DEFAULT '',
    registered  boolean NOT NULL,            -- false: it reported before anybody said who it is
    version     int NOT NULL,
    seq         int NOT NULL,
    heartbeat_s int CHECK (heartbeat_s > 0), -- null: it may be silent for ever
    watched_since timestamptz,               -- from when on the heartbeat counts
    last_heard  timestamptz,
    silent_since timestamptz,
    settings    bytea NOT NULL DEFAULT '{}'  -- dialect, resume strategy: JSON
);

-- A token that speaks for one source, and for no other.
ALTER TABLE api_token ADD COLUMN source text NOT NULL DEFAULT '';

GRANT SELECT, INSERT ON failure_event, source TO {app_role};
GRANT UPDATE ON source TO {app_role};
GRANT SELECT, DELETE ON failure_event, source TO {purge_role};
REVOKE DELETE ON failure_event FROM {purge_role};
