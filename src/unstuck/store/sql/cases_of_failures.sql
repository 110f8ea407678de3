-- In the order of their ids, after the orders. Of a failure that reopens, the newest case that is over.
-- The arrays stand in a SELECT so that their length is unknown to the planner: it would plan anew for every batch,
-- because for a few keys that looks cheaper by more than planning is thought to cost, and costs most of the statement.
SELECT * FROM fallout_case WHERE id IN (
    SELECT id FROM fallout_case WHERE dedup_key = ANY ((SELECT $1::text[])::text[])
        AND state NOT IN ('RESOLVED_RESUME', 'RESOLVED_CANCEL', 'RESOLVED_COMPENSATE', 'RESOLVED_NONE', 'CLOSED')
    UNION
    SELECT newest.id FROM unnest((SELECT $2::text[])) AS u(dedup_key) CROSS JOIN LATERAL (
        SELECT id FROM fallout_case c WHERE c.dedup_key = u.dedup_key ORDER BY detected_at DESC LIMIT 1) newest
) ORDER BY id FOR UPDATE
