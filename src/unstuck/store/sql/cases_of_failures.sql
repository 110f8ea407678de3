-- The open cases of these failures; of those that reopen also the newest that is over. Not locked: that is done in the
-- order of their ids. LIMIT makes each key a look into an index of its own, so that a plan made while the table was
-- empty is right when it is large: a join or ANY kept reading all cases for every batch, until the first ANALYZE.
-- The arrays stand in a SELECT so that their length is unknown to the planner: it would plan anew for every small batch.
SELECT found.id FROM unnest((SELECT $1::text[])) AS u(dedup_key) CROSS JOIN LATERAL (
    SELECT id FROM fallout_case c WHERE c.dedup_key = u.dedup_key
        AND c.state NOT IN ('RESOLVED_RESUME', 'RESOLVED_CANCEL', 'RESOLVED_COMPENSATE', 'RESOLVED_NONE', 'CLOSED')
    LIMIT 1) found
UNION
SELECT newest.id FROM unnest((SELECT $2::text[])) AS u(dedup_key) CROSS JOIN LATERAL (
    SELECT id FROM fallout_case c WHERE c.dedup_key = u.dedup_key ORDER BY detected_at DESC LIMIT 1) newest
