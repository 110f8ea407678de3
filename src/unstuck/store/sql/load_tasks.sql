-- A statement of its own, after the lock: in one statement with it, a waiter would read the tasks as they were
-- before it waited, and a ready successor would be lost for ever.
SELECT order_id, array_agg(no) AS no, array_agg(state) AS state, array_agg(identity) AS identity,
       array_agg(attempt) AS attempt, array_agg(tries) AS tries, array_agg(asks) AS asks,
       array_agg(lease) AS lease, array_agg(sent_at) AS sent_at, array_agg(due) AS due
FROM (SELECT * FROM task WHERE order_id = ANY($1::uuid[]) ORDER BY order_id, no) t GROUP BY order_id
