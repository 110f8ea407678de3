-- What a source can fetch and redeem now, by the leaf of each decision: nothing before it is sealed, and never one
-- that it has redeemed or that another decision has replaced.
SELECT l.n, c.id AS case_id, d.at, d.data
FROM fallout_case c
    JOIN resume_token t ON t.id = c.unredeemed
    CROSS JOIN LATERAL (
        SELECT e.seq, e.at, e.data FROM event e WHERE e.stream = c.id AND e.type = 'fallout-case.resolved'
        ORDER BY e.seq DESC LIMIT 1
    ) d
    JOIN leaf l ON l.stream = c.id AND l.seq = d.seq
WHERE c.source = $1 AND c.unredeemed IS NOT NULL AND t.audience = $1 AND t.expires_at > $2 AND l.n > $3
ORDER BY l.n LIMIT $4
