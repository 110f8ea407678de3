-- A bounded bite, so that a long neglected table holds no lock for long; rows that somebody replaces now can wait.
DELETE FROM idempotency WHERE (principal, key) IN (
    SELECT principal, key FROM idempotency WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
);
