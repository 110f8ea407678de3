-- Unknown outcomes whose next read-back is due.
SELECT t.order_id, t.no, t.identity, t.attempt, t.tries, t.asks, t.state, t.since, t.sent_at
FROM unnest($1::text[], $2::int[]) AS room(target, free)
CROSS JOIN LATERAL (
    SELECT * FROM task
    WHERE state = 'UNKNOWN' AND lease IS NULL AND due IS NOT NULL AND target = room.target AND due <= $3
    ORDER BY due LIMIT room.free FOR UPDATE SKIP LOCKED
) t
