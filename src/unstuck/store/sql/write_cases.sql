-- Compare-and-set: a row that does not come back was changed by somebody else first.
UPDATE fallout_case c SET state = $2, version = $3, seq = $4, touched_at = $5, code = $6, domain = $7,
    recoverability = $8, queue = $9, owner = $10, repeats = $11, resolution = $12, resolved_by = $13,
    resolved_at = $14, correction = $15, attempt = $16
WHERE c.id = $1 AND c.seq = $17 RETURNING c.id
