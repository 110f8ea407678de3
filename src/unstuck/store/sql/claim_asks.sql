-- The intent to ask: the same fence, but nothing is sent and the state stays.
UPDATE task t SET attempt = t.attempt + 1, asks = t.asks + 1, due = NULL, lease = $3, owner = $4
FROM unnest($1::uuid[], $2::smallint[]) AS u(order_id, no) WHERE t.order_id = u.order_id AND t.no = u.no
