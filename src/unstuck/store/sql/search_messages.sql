-- Messages by the name that systems know them by. Callbacks and reports are kept under their sender's name and theirs:
-- every sender there is is tried, which is a handful of lookups and spares an index that every message would write.
SELECT m.kind, m.at, m.task, o.number AS order_number, o.state AS order_state, c.number AS case_number,
    c.state AS case_state, c.raw_message
FROM (
    SELECT 'call' AS kind, NULL::timestamptz AS at, order_id, task, NULL::uuid AS case_id FROM command WHERE key = $1
    UNION ALL
    SELECT 'callback', b.at, b.order_id, b.task, NULL FROM unnest($2::text[]) AS s(system) CROSS JOIN LATERAL (
        SELECT at, order_id, task FROM callback WHERE system = s.system AND event_id = $1 AND order_id IS NOT NULL LIMIT 1
    ) AS b
    UNION ALL
    SELECT 'report', f.at, NULL, NULL, f.case_id FROM source s CROSS JOIN LATERAL (
        SELECT at, case_id FROM failure_event WHERE source = s.name AND event_id = $1 LIMIT 1
    ) AS f
    UNION ALL
    (SELECT 'correlation', detected_at, NULL, NULL, id FROM fallout_case
        WHERE correlation_id = $1 AND correlation_id <> '' ORDER BY detected_at DESC, id DESC LIMIT $3)
) AS m
LEFT JOIN orders o ON o.id = m.order_id
LEFT JOIN fallout_case c ON c.id = m.case_id
LIMIT $3
