-- Parked streams whose first message is to be tried again, with what waits behind it, in order. What was last tried at
-- a time that has not come yet was timed by a clock that was wrong: it is due.
SELECT d.leaf, d.tries FROM delivery d JOIN (
    SELECT DISTINCT stream, due FROM delivery
    WHERE subscription = $1 AND due IS NOT NULL AND (due <= $2 OR at > $2::timestamptz + interval '1 minute')
    ORDER BY due LIMIT $3
) head USING (stream)
WHERE d.subscription = $1 AND d.state = 'WAITING' ORDER BY d.leaf LIMIT $4
