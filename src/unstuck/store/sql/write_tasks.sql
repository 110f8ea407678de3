-- A task whole. It is nobody's to call any more: whoever holds a lease on it finds its fence closed.
UPDATE task t SET state = u.state, identity = u.identity, replaces = CASE WHEN u.identity > 0 THEN u.identity - 1 END,
    tries = u.tries, asks = u.asks, due = u.due, lease = NULL, owner = NULL, since = u.since
FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::smallint[], $5::smallint[], $6::smallint[], $7::timestamptz[],
    $8::timestamptz[])
    AS u(order_id, no, state, identity, tries, asks, due, since)
WHERE t.order_id = u.order_id AND t.no = u.no
