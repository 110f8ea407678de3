-- A row that another batch is writing at this moment says the same: it is skipped, never waited for.
UPDATE source SET last_heard = $2 WHERE id IN (
    SELECT id FROM source WHERE name = ANY($1::text[]) AND (last_heard IS NULL OR last_heard < $3)
    FOR NO KEY UPDATE SKIP LOCKED)
