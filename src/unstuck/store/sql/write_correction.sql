-- A correction is written once and then only moves; its input and preview are never rewritten.
INSERT INTO correction (id, case_id, action, state, reason_code, reason, given, preview, proposed_by, proposed_at,
    applied_by, applied_at, result)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, applied_by = excluded.applied_by,
    applied_at = excluded.applied_at, result = excluded.result
