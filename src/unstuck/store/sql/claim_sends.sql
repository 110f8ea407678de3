-- The intent: running, attempt + 1, lease. A successor that becomes ready here is claimed in the same statement.
UPDATE task t SET state = 'READY', attempt = t.attempt + 1, tries = t.tries + 1, due = NULL, lease = $3, owner = $4,
    sent_at = $5, since = CASE WHEN t.state = 'READY' THEN t.since ELSE $5 END
FROM unnest($1::uuid[], $2::smallint[]) AS u(order_id, no) WHERE t.order_id = u.order_id AND t.no = u.no
