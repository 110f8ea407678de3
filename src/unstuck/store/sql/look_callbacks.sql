-- The callbacks of an order. A system may send as many megabytes as it likes as often as it likes: only as much of each
-- leaves the database as is shown.
SELECT system, event_id, task, status, verdict, at, substring(body FROM 1 FOR $2) AS body
FROM callback WHERE order_id = $1 ORDER BY at LIMIT 500
