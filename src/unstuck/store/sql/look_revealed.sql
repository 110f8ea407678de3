-- The type stands here as it does in the index event_revealed, so that a prepared plan may use it.
SELECT EXISTS (SELECT FROM event WHERE type = 'fallout-case.revealed' AND by = $2 AND at > $3 AND stream = $1)
