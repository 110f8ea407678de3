-- What will be sent, by identity, with the plan that says how.
SELECT c.key, c.body, o.plan
FROM unnest($1::uuid[], $2::smallint[], $3::smallint[]) WITH ORDINALITY AS u(order_id, no, identity, ord)
JOIN command c ON c.order_id = u.order_id AND c.task = u.no AND c.identity = u.identity
JOIN orders o ON o.id = u.order_id
ORDER BY u.ord
