-- The unique index on the open dedup key decides which of two racing failures makes the case.
INSERT INTO fallout_case (id, state, version, seq, order_id, item, step, task, attempt, reason, system, operation,
    raw_code, raw_message, raw_sha256, raw, dedup_key, detected_at, touched_at, pack)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
RETURNING number
