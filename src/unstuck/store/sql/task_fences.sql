-- The attempt each step stands at when somebody else reports that it failed.
SELECT t.order_id, t.no, t.attempt
FROM unnest($1::uuid[], $2::smallint[]) AS u(order_id, no) JOIN task t ON t.order_id = u.order_id AND t.no = u.no
