-- Receivers that have something to get and are in nobody's hands. The fence is what lets the claimer record, and shuts
-- out whoever held the lease before. A time so far ahead that no rule of ours sets it is from a clock that was wrong.
UPDATE subscription SET lease = $2::timestamptz, fence = $3 WHERE id IN (
    SELECT s.id FROM subscription s
    WHERE s.state = 'ACTIVE' AND (s.lease IS NULL OR s.lease < $1 OR s.lease > $2::timestamptz + interval '1 minute')
        AND (s.held_until IS NULL OR s.held_until <= $1 OR s.held_until > $1::timestamptz + interval '2 hours')
        AND (s.next_leaf < (SELECT size FROM seal) OR EXISTS (
            SELECT FROM delivery d WHERE d.subscription = s.id
                AND (d.due <= $1 OR d.due IS NOT NULL AND d.at > $1::timestamptz + interval '1 minute')))
    ORDER BY coalesce(s.delivered_at, s.created_at) LIMIT $4
    FOR UPDATE SKIP LOCKED)
RETURNING *
