-- Room per target, so that a slow one starves nobody; what another worker is picking is skipped, never waited for.
SELECT t.order_id, t.no, t.identity, t.attempt, t.tries, t.asks, t.state, t.since, t.sent_at
FROM unnest($1::text[], $2::int[]) AS room(target, free)
CROSS JOIN LATERAL (
    SELECT * FROM task
    WHERE state = 'READY' AND lease IS NULL AND target = room.target AND due <= $3
    ORDER BY prio, due LIMIT room.free FOR UPDATE SKIP LOCKED
) t
