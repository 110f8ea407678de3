-- The newest answer stands: it takes the place of one that is under way, or too old to count.
INSERT INTO idempotency (principal, key, digest, status, body, at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (principal, key) DO UPDATE
SET digest = excluded.digest, status = excluded.status, body = excluded.body, at = excluded.at;
