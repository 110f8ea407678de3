-- Claimed by the transaction that fires them; the row goes in the transaction that records the effect.
SELECT subject, kind, epoch, due, task FROM timer WHERE kind = $3 AND due <= $1 ORDER BY due LIMIT $2 FOR UPDATE SKIP LOCKED
