-- The queues that hold open cases, each counted up to $1: from one queue to the next along the index, never over all
-- cases of any.
WITH RECURSIVE held AS (
    (SELECT queue FROM fallout_case WHERE queue <> ''
        AND state NOT IN ('RESOLVED_RESUME', 'RESOLVED_CANCEL', 'RESOLVED_COMPENSATE', 'RESOLVED_NONE', 'CLOSED')
     ORDER BY queue, detected_at, id LIMIT 1)
    UNION ALL
    SELECT (SELECT c.queue FROM fallout_case c WHERE c.queue <> '' AND c.queue > held.queue
        AND c.state NOT IN ('RESOLVED_RESUME', 'RESOLVED_CANCEL', 'RESOLVED_COMPENSATE', 'RESOLVED_NONE', 'CLOSED')
     ORDER BY c.queue, c.detected_at, c.id LIMIT 1)
    FROM held WHERE held.queue IS NOT NULL
)
SELECT held.queue, counted.many
FROM held, LATERAL (
    SELECT count(*) AS many FROM (
        SELECT FROM fallout_case c WHERE c.queue = held.queue AND c.queue <> ''
            AND c.state NOT IN ('RESOLVED_RESUME', 'RESOLVED_CANCEL', 'RESOLVED_COMPENSATE', 'RESOLVED_NONE', 'CLOSED')
        LIMIT $1
    ) AS first
) AS counted
WHERE held.queue IS NOT NULL
LIMIT 200
