UPDATE task t SET state = u.state, identity = u.identity, replaces = CASE WHEN u.identity > 0 THEN u.identity - 1 END,
    attempt = u.attempt, tries = u.tries, asks = u.asks, due = u.due, lease = u.lease, owner = u.owner,
    sent_at = u.sent_at, since = u.since
FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::smallint[], $5::int[], $6::smallint[], $7::smallint[],
    $8::timestamptz[], $9::timestamptz[], $10::text[], $11::timestamptz[], $12::timestamptz[])
    AS u(order_id, no, state, identity, attempt, tries, asks, due, lease, owner, sent_at, since)
WHERE t.order_id = u.order_id AND t.no = u.no
