-- The key must be that of one of the commands of the task it is filed under.
SELECT c.system, c.event_id, c.order_id, c.at, c.task, c.status, c.verdict, c.sha256,
    EXISTS (SELECT FROM command o WHERE o.order_id = c.order_id AND o.task = c.task AND left(o.key, 400) = c.key) AS key
FROM callback c WHERE c.order_id = ANY($1::uuid[])
