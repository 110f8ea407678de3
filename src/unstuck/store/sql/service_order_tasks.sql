-- The tasks of many orders, each in the order of its plan.
SELECT order_id, no, state, since FROM task WHERE order_id = ANY($1::uuid[]) ORDER BY order_id, no
