-- Order managers that are not ours: the token they have not taken yet, and asking those to go on that cannot take one.

ALTER TABLE fallout_case ADD COLUMN unredeemed uuid;
-- What a source can still fetch and redeem: few rows, however many cases it ever had.
CREATE INDEX case_unredeemed ON fallout_case (source) WHERE unredeemed IS NOT NULL;

-- How far we are with asking an order manager to go on. What was promised and what came of it are events of the case;
-- this row only says what is next, and whose turn it is: each claim has a fence of its own and shuts out the one before.
CREATE TABLE resume_work (
    token       uuid PRIMARY KEY REFERENCES resume_token,
    step        text NOT NULL CHECK (step IN ('LOOK', 'SETTLE')),
    due         timestamptz NOT NULL,
    fence       int NOT NULL,
    way         smallint NOT NULL,           -- which of the ways of its source is tried
    asked       smallint NOT NULL,           -- times we asked it to go on
    asked_at    timestamptz,
    looks       int NOT NULL,                -- looks in a row that were not answered
    answer      text NOT NULL,               -- to the last asking; empty: none that we know of
    before      text NOT NULL                -- digest of the order as it was before it was asked
);
CREATE INDEX resume_work_due ON resume_work (due);

GRANT SELECT, INSERT, UPDATE, DELETE ON resume_work TO {app_role};
GRANT SELECT, DELETE ON resume_work TO {purge_role};
