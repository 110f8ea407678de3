-- People: who may sign in to the pages, how they prove who they are, and for how long that counts.

CREATE TABLE person (
    id          uuid PRIMARY KEY,
    name        text NOT NULL CHECK (name <> '' AND name NOT LIKE 'unstuck:%'),
    folded      text NOT NULL UNIQUE,        -- the name without its capitals: one person for all spellings
    roles       text[] NOT NULL,
    password    text NOT NULL,               -- argon2id: parameters, salt and digest
    demo        boolean NOT NULL,            -- made with a demo world; let in only where one runs, on loopback
    made_at     timestamptz NOT NULL,
    disabled_at timestamptz,
    version     int NOT NULL,
    seq         int NOT NULL
);

-- Signed in: the digest of what the browser holds. It ends unused, by age, by its person, or when they are disabled.
CREATE TABLE session (
    sha256      text PRIMARY KEY,
    person      uuid NOT NULL REFERENCES person,
    made_at     timestamptz NOT NULL,
    seen_at     timestamptz NOT NULL,
    until       timestamptz NOT NULL
);
CREATE INDEX session_of_person ON session (person);
CREATE INDEX session_by_end ON session (until);

-- Tries to sign in that have not succeeded, by the digest of a name or an address: what people type there by mistake
-- may be a password. In the database, so that all servers count together; never more times than the limit.
CREATE TABLE sign_in_tries (
    subject     text PRIMARY KEY,
    times       timestamptz[] NOT NULL,
    last        timestamptz NOT NULL
);
CREATE INDEX sign_in_tries_by_age ON sign_in_tries (last);

-- The link that makes the first administrator, once.
CREATE TABLE sign_up (
    sha256      text PRIMARY KEY,
    until       timestamptz NOT NULL,
    used_at     timestamptz
);

GRANT SELECT, INSERT, UPDATE ON person TO {app_role};
GRANT SELECT, INSERT, UPDATE, DELETE ON session, sign_in_tries, sign_up TO {app_role};
GRANT SELECT, DELETE ON person, session, sign_in_tries, sign_up TO {purge_role};
