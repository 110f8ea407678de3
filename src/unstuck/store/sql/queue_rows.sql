-- What the queue shows of these cases: the case, its order, its failed step as it stands, what a read-back of that step
-- has proven since it was sent, whether it was marked as done outside, and what happened last.
SELECT c.id, c.number, c.version, c.state, c.order_id, c.item, c.step, c.reason, c.system, c.operation, c.raw_code,
    c.raw_message, left(c.raw_message, 300) AS error, c.detected_at, c.touched_at, c.pack, c.code, c.domain,
    c.recoverability, c.queue, c.owner, c.repeats, c.resolution, c.resolved_by, c.resolved_at, c.source, c.order_ref,
    c.customer, c.correlation_id, c.severity_hint, c.category_hint, c.seq, c.task, c.attempt, c.raw_sha256, c.dedup_key,
    c.order_version, c.correction, c.unredeemed,
    o.number AS order_number, o.external_id, o.customer AS order_customer, o.received_at, o.promised_at,
    o.state AS order_state, o.plan, t.state AS task_state, t.attempt AS attempts, t.lease IS NOT NULL AS running,
    last.type AS last_type, last.by AS last_by, (
        SELECT e.says FROM evidence e
        WHERE e.case_id = c.id AND e.type = 'read_back' AND e.says <> ''
            AND (t.sent_at IS NULL OR e.captured_at >= t.sent_at)
        ORDER BY e.captured_at DESC, e.id DESC LIMIT 1
    ) AS proven, EXISTS (
        SELECT FROM correction r WHERE r.id = c.correction AND r.state = 'APPLIED' AND r.action = 'mark_done_outside'
    ) AS marked
FROM fallout_case c
LEFT JOIN orders o ON o.id = c.order_id
LEFT JOIN task t ON t.order_id = c.order_id AND t.no = c.task
LEFT JOIN LATERAL (SELECT e.type, e.by FROM event e WHERE e.stream = c.id ORDER BY e.seq DESC LIMIT 1) AS last ON true
WHERE c.id = ANY($1::uuid[])
