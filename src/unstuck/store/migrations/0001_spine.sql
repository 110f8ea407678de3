-- The spine: orders and their plans, calls on record, cases, evidence, tokens, history.
-- Columns are of three classes, named in unstuck.store.columns: recorded (the fold of the events),
-- derived (recomputable), operational (running, lease, owner; not proven).

CREATE TABLE policy_pack (
    hash        text PRIMARY KEY,
    name        text NOT NULL,
    files       bytea NOT NULL,
    stored_at   timestamptz NOT NULL
);

-- Content-addressed and immutable: equal orders share one row.
CREATE TABLE plan (
    id          text PRIMARY KEY,
    body        bytea NOT NULL
);

CREATE TABLE orders (
    id          uuid PRIMARY KEY,
    number      bigint GENERATED ALWAYS AS IDENTITY (START 1001),
    source      text NOT NULL,
    external_id text NOT NULL,
    customer    text NOT NULL,
    state       text NOT NULL CHECK (state IN ('NOT_STARTED', 'IN_PROGRESS', 'SUSPENDED', 'WAITING_FOR_REVISION',
                    'AMENDING', 'FAILED', 'CANCELLING', 'CANCELLED', 'ABORTED', 'COMPLETED')),
    failed_from text,
    plan        text REFERENCES plan,
    item_states text[] NOT NULL,
    version     int NOT NULL,
    seq         int NOT NULL,
    prio        smallint NOT NULL DEFAULT 100,
    pack        text NOT NULL REFERENCES policy_pack,
    promised_at timestamptz,
    received_at timestamptz NOT NULL,
    finished_at timestamptz
) WITH (fillfactor = 80);
-- The same order sent twice is one order.
CREATE UNIQUE INDEX one_order_per_source_id ON orders (source, external_id);
CREATE INDEX orders_newest ON orders (received_at DESC, id);

-- What came in, as it came in, whatever became of it: nothing that was sent to us is lost.
CREATE TABLE intake (
    id          uuid PRIMARY KEY,
    at          timestamptz NOT NULL,
    channel     text NOT NULL,
    source      text NOT NULL,
    answer      int NOT NULL,
    because     text NOT NULL,
    order_id    uuid,
    media_type  text NOT NULL,
    size        bigint NOT NULL,
    sha256      text NOT NULL,
    truncated   boolean NOT NULL,
    body        bytea NOT NULL
);
CREATE INDEX intake_of_order ON intake (order_id) WHERE order_id IS NOT NULL;

-- An order as intake understood it: what decomposition and corrections read.
CREATE TABLE order_draft (
    order_id    uuid PRIMARY KEY REFERENCES orders,
    body        bytea NOT NULL,
    raw         uuid NOT NULL REFERENCES intake
);

-- One business identity of a task: its key and the body it carries, the same on every attempt.
CREATE TABLE command (
    order_id    uuid NOT NULL,
    task        smallint NOT NULL,
    identity    smallint NOT NULL,
    key         text NOT NULL,
    body        bytea NOT NULL,
    PRIMARY KEY (order_id, task, identity)
);
CREATE UNIQUE INDEX command_key_is_unique ON command (key);

-- Proof that an identity can have no effect any more. Only then may its task get another (task.replaces).
CREATE TABLE dead_identity (
    order_id    uuid NOT NULL,
    task        smallint NOT NULL,
    identity    smallint NOT NULL,
    how         text NOT NULL CHECK (how IN ('refused', 'absent')),
    at          timestamptz NOT NULL,
    PRIMARY KEY (order_id, task, identity)
);

-- One row a task: its primary key is what holds one live identity per task.
CREATE TABLE task (
    order_id    uuid NOT NULL REFERENCES orders,
    no          smallint NOT NULL,
    target      text NOT NULL,
    state       text NOT NULL CHECK (state IN ('PENDING', 'READY', 'WAITING_CALLBACK', 'UNKNOWN', 'FAILED',
                    'COMPLETED', 'CANCELLED')),
    identity    smallint NOT NULL DEFAULT 0,
    replaces    smallint,
    attempt     int NOT NULL DEFAULT 0,
    tries       smallint NOT NULL DEFAULT 0,
    asks        smallint NOT NULL DEFAULT 0,
    prio        smallint NOT NULL DEFAULT 100,
    due         timestamptz,
    lease       timestamptz,
    owner       text,
    sent_at     timestamptz,
    since       timestamptz,
    PRIMARY KEY (order_id, no),
    -- The first identity replaces none; each later one replaces the one before, which must be proven dead.
    CHECK (replaces IS NOT DISTINCT FROM CASE WHEN identity > 0 THEN identity - 1 END),
    FOREIGN KEY (order_id, no, replaces) REFERENCES dead_identity (order_id, task, identity)
) WITH (fillfactor = 80);
CREATE INDEX task_ready ON task (target, prio, due) WHERE state = 'READY' AND lease IS NULL;
CREATE INDEX task_to_ask ON task (target, due) WHERE state = 'UNKNOWN' AND lease IS NULL AND due IS NOT NULL;
CREATE INDEX task_lease ON task (lease) WHERE lease IS NOT NULL;
CREATE INDEX task_overdue ON task (due) WHERE state = 'WAITING_CALLBACK';

-- The intent, committed before the call; and what came back. Both only ever grow; `day` is the intent's day
-- in both, so that the primary key of outcome means at most one outcome an attempt.
CREATE TABLE attempt (
    order_id    uuid NOT NULL,
    task        smallint NOT NULL,
    attempt     int NOT NULL,
    day         date NOT NULL,
    kind        text NOT NULL,
    identity    smallint NOT NULL,
    owner       text NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (order_id, task, attempt, day)
) PARTITION BY RANGE (day);

CREATE TABLE outcome (
    order_id    uuid NOT NULL,
    task        smallint NOT NULL,
    attempt     int NOT NULL,
    day         date NOT NULL,
    at          timestamptz NOT NULL,
    result      text NOT NULL,
    status      smallint NOT NULL,
    code        text NOT NULL,
    reference   text NOT NULL,
    sha256      bytea NOT NULL,
    body        bytea NOT NULL,
    PRIMARY KEY (order_id, task, attempt, day)
) PARTITION BY RANGE (day);

CREATE TABLE attempt_rest PARTITION OF attempt DEFAULT;
CREATE TABLE outcome_rest PARTITION OF outcome DEFAULT;

-- A callback as it came: one row for each delivery that was new, correlated or not.
CREATE TABLE callback (
    system      text NOT NULL,
    event_id    text NOT NULL,
    at          timestamptz NOT NULL,
    key         text NOT NULL,
    order_id    uuid,
    task        smallint,
    status      text NOT NULL,
    verdict     text NOT NULL,
    sha256      text NOT NULL,
    body        bytea NOT NULL,
    PRIMARY KEY (system, event_id)
);
CREATE INDEX callback_of_order ON callback (order_id, task) WHERE order_id IS NOT NULL;

CREATE TABLE fallout_case (
    id          uuid PRIMARY KEY,
    number      bigint GENERATED ALWAYS AS IDENTITY (START 1001),
    state       text NOT NULL CHECK (state IN ('DETECTED', 'CLASSIFIED', 'QUEUED', 'ASSIGNED', 'IN_PROGRESS',
                    'WAITING_CUSTOMER', 'WAITING_PARTNER', 'WAITING_VENDOR', 'WAITING_FIELD', 'WAITING_INCIDENT',
                    'CORRECTION_PROPOSED', 'APPROVAL_REQUIRED', 'CORRECTION_APPLIED', 'VERIFYING', 'RESOLVED_RESUME',
                    'RESOLVED_CANCEL', 'RESOLVED_COMPENSATE', 'RESOLVED_NONE', 'CLOSED')),
    version     int NOT NULL,
    seq         int NOT NULL,
    order_id    uuid NOT NULL REFERENCES orders,
    item        text NOT NULL,
    step        text NOT NULL,
    task        smallint,
    attempt     int NOT NULL,
    reason      text NOT NULL,
    system      text NOT NULL,
    operation   text NOT NULL,
    raw_code    text NOT NULL,
    raw_message text NOT NULL,
    raw_sha256  text NOT NULL,
    raw         bytea NOT NULL,
    dedup_key   text NOT NULL,
    detected_at timestamptz NOT NULL,
    touched_at  timestamptz NOT NULL,
    pack        text NOT NULL REFERENCES policy_pack,
    code        text NOT NULL DEFAULT '',
    domain      text NOT NULL DEFAULT '',
    recoverability text NOT NULL DEFAULT '',
    queue       text NOT NULL DEFAULT '',
    owner       text NOT NULL DEFAULT '',
    repeats     int NOT NULL DEFAULT 0,
    resolution  text NOT NULL DEFAULT '',
    resolved_by text NOT NULL DEFAULT '',
    resolved_at timestamptz,
    correction  uuid,
    -- No open case without a queue once it was looked at (one may settle before that); no closing without a resolution.
    CHECK (state IN ('DETECTED', 'CLASSIFIED', 'RESOLVED_NONE', 'CLOSED') OR queue <> ''),
    CHECK (state <> 'CLOSED' OR resolution <> '')
) WITH (fillfactor = 80);
-- Two workers racing with the same failure make one case.
CREATE UNIQUE INDEX one_open_case_per_failure ON fallout_case (dedup_key)
    WHERE state NOT IN ('RESOLVED_RESUME', 'RESOLVED_CANCEL', 'RESOLVED_COMPENSATE', 'RESOLVED_NONE', 'CLOSED');
CREATE INDEX case_of_order ON fallout_case (order_id);
CREATE INDEX case_newest ON fallout_case (detected_at DESC, id);
CREATE INDEX case_by_queue ON fallout_case (queue, detected_at, id)
    WHERE state NOT IN ('RESOLVED_RESUME', 'RESOLVED_CANCEL', 'RESOLVED_COMPENSATE', 'RESOLVED_NONE', 'CLOSED');

CREATE TABLE correction (
    id          uuid PRIMARY KEY,
    case_id     uuid NOT NULL REFERENCES fallout_case,
    action      text NOT NULL,
    state       text NOT NULL CHECK (state IN ('PROPOSED', 'APPLYING', 'APPLIED', 'FAILED', 'REJECTED')),
    reason_code text NOT NULL,
    reason      text NOT NULL,
    given       bytea NOT NULL,
    preview     bytea NOT NULL,
    proposed_by text NOT NULL,
    proposed_at timestamptz NOT NULL,
    applied_by  text NOT NULL DEFAULT '',
    applied_at  timestamptz,
    result      text NOT NULL DEFAULT ''
);
CREATE INDEX correction_of_case ON correction (case_id);

-- The bytes are a file named by their digest; the row says what they are and is never changed.
CREATE TABLE evidence (
    id          uuid PRIMARY KEY,
    case_id     uuid NOT NULL REFERENCES fallout_case,
    type        text NOT NULL,
    sha256      text NOT NULL,
    size        bigint NOT NULL,
    media_type  text NOT NULL,
    source      text NOT NULL,
    captured_by text NOT NULL,
    captured_at timestamptz NOT NULL,
    customer_visible boolean NOT NULL,
    proves_resolution boolean NOT NULL,
    corrects    uuid REFERENCES evidence,
    says        text NOT NULL
);
CREATE INDEX evidence_of_case ON evidence (case_id);

CREATE TABLE resume_token (
    id          uuid PRIMARY KEY,
    case_id     uuid NOT NULL REFERENCES fallout_case,
    audience    text NOT NULL,
    body        bytea NOT NULL,
    issued_at   timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL
);
CREATE TABLE resume_use (
    token       uuid PRIMARY KEY REFERENCES resume_token,  -- a token is used once
    at          timestamptz NOT NULL,
    by          text NOT NULL
);

-- Everything due, but for retries and leases, which stay on the task row. Firing deletes the row.
CREATE TABLE timer (
    subject     uuid NOT NULL,
    kind        text NOT NULL,
    epoch       int NOT NULL,
    due         timestamptz NOT NULL,
    task        smallint,
    PRIMARY KEY (subject, kind, epoch)
);
CREATE INDEX timer_due ON timer (kind, due);

-- The one append-only history: audit, outbox and timeline. `xid` lets the sealer know what has committed.
CREATE TABLE event (
    stream      uuid NOT NULL,
    seq         int NOT NULL,
    at          timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    type        text NOT NULL,
    v           smallint NOT NULL,
    by          text NOT NULL,
    data        bytea NOT NULL,
    xid         xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (stream, seq)
);
CREATE INDEX event_by_commit ON event (xid);

CREATE TABLE leaf (
    n           bigint PRIMARY KEY,
    stream      uuid NOT NULL,
    seq         int NOT NULL,
    hash        bytea NOT NULL,
    UNIQUE (stream, seq)
);

CREATE TABLE checkpoint (
    size        bigint PRIMARY KEY,
    root        bytea NOT NULL,
    at          timestamptz NOT NULL,
    note        text NOT NULL
);

-- One row: how far the sealer is, and the right edge of the tree.
CREATE TABLE seal (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    below       xid8 NOT NULL,
    size        bigint NOT NULL,
    frontier    bytea NOT NULL,
    checkpoint_at timestamptz
);
INSERT INTO seal (below, size, frontier) VALUES ('0', 0, '');

CREATE TABLE api_token (
    id          uuid PRIMARY KEY,
    name        text NOT NULL,
    sha256      text NOT NULL UNIQUE,
    roles       text[] NOT NULL,
    created_at  timestamptz NOT NULL,
    revoked_at  timestamptz
);

CREATE TABLE idempotency (
    principal   text NOT NULL,
    key         text NOT NULL,
    digest      text NOT NULL,
    status      smallint NOT NULL,
    body        bytea NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (principal, key)
);

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER event_is_append_only BEFORE UPDATE OR DELETE ON event FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER leaf_is_append_only BEFORE UPDATE OR DELETE ON leaf FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER checkpoint_is_append_only BEFORE UPDATE OR DELETE ON checkpoint FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER evidence_is_immutable BEFORE UPDATE OR DELETE ON evidence FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER event_is_never_truncated BEFORE TRUNCATE ON event FOR EACH STATEMENT EXECUTE FUNCTION refuse();

GRANT USAGE ON SCHEMA public TO {app_role}, {purge_role};
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {app_role};
GRANT UPDATE ON orders, task, fallout_case, correction, seal, api_token TO {app_role};
GRANT UPDATE, DELETE ON timer TO {app_role};
GRANT DELETE ON idempotency TO {app_role};
REVOKE INSERT ON seal FROM {app_role};
GRANT SELECT, DELETE ON ALL TABLES IN SCHEMA public TO {purge_role};
REVOKE DELETE ON event, leaf, checkpoint, evidence FROM {purge_role};

-- Day partitions, made ahead by a loop of the worker, which may not create tables itself.
CREATE FUNCTION make_partitions(first date, days int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public AS $$
DECLARE
    made int := 0;
    day date;
    parent text;
BEGIN
    FOR day IN SELECT first + n FROM generate_series(0, days - 1) n LOOP
        FOREACH parent IN ARRAY ARRAY['attempt', 'outcome'] LOOP
            CONTINUE WHEN to_regclass(parent || '_' || to_char(day, 'YYYYMMDD')) IS NOT NULL;
            BEGIN
                EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                    parent || '_' || to_char(day, 'YYYYMMDD'), parent, day, day + 1);
                made := made + 1;
            EXCEPTION WHEN check_violation THEN
                NULL;  -- the catch-all has rows of that day already: they stay there, nothing is lost
            END;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
REVOKE ALL ON FUNCTION make_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_partitions TO {app_role};
