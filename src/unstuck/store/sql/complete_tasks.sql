-- The common end of a task.
UPDATE task t SET state = 'COMPLETED', due = NULL, lease = NULL, owner = NULL, since = $3
FROM unnest($1::uuid[], $2::smallint[]) AS u(order_id, no) WHERE t.order_id = u.order_id AND t.no = u.no
