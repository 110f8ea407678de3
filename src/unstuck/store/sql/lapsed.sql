-- Calls whose worker is gone or silent past its lease, and callbacks that are overdue. Only a look: the flush
-- checks again under the order's lock.
(SELECT order_id, no, attempt, 'lease' AS what FROM task WHERE lease IS NOT NULL AND lease < $1 ORDER BY lease LIMIT $2)
UNION ALL
(SELECT order_id, no, attempt, 'callback' FROM task WHERE state = 'WAITING_CALLBACK' AND due < $1 ORDER BY due LIMIT $2)
