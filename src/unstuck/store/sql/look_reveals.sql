-- The type stands here as it does in the index event_revealed, so that a prepared plan may use it.
SELECT count(*) FROM event WHERE type = 'fallout-case.revealed' AND by = $1 AND at > $2
