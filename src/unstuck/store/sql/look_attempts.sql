-- Every call of an order with what was sent and what came back; the request is its identity's, stored once. Only as
-- much of a body leaves the database as is shown.
SELECT a.task, a.attempt, a.kind, a.identity, a.at, a.owner, c.key, substring(c.body FROM 1 FOR $3) AS request,
       o.at AS answered_at, o.result, o.status, o.code, o.reference, substring(o.body FROM 1 FOR $3) AS reply
FROM attempt a
JOIN command c ON (c.order_id, c.task, c.identity) = (a.order_id, a.task, a.identity)
LEFT JOIN outcome o ON (o.order_id, o.task, o.attempt, o.day) = (a.order_id, a.task, a.attempt, a.day)
WHERE a.order_id = $1 AND ($2::smallint IS NULL OR a.task = $2)
ORDER BY a.at, a.task, a.attempt LIMIT 500
