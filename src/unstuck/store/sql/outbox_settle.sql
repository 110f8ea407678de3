-- What became of a batch. No row back: somebody else has claimed the receiver since, and this batch counts for nothing.
UPDATE subscription SET next_leaf = $3, ahead = $4, held_until = $5, failures = $6, refusals = $7, because = $8,
    delivered = delivered + $9, delivered_at = CASE WHEN $9 > 0 THEN $10 ELSE delivered_at END,
    lease = NULL, fence = NULL
WHERE id = $1 AND fence = $2
