-- Ready, and no room for them in this transaction.
UPDATE task t SET state = 'READY', due = $3, since = $3
FROM unnest($1::uuid[], $2::smallint[]) AS u(order_id, no) WHERE t.order_id = u.order_id AND t.no = u.no
