-- What a system said of these cases, with the bodies it may repeat: what came of it, what the order was understood to
-- be, and what its step was sent. Of a long body only the beginning.
SELECT c.id, c.raw_message, substring(c.raw FROM 1 FOR $2) AS raw, substring(d.body FROM 1 FOR $2) AS draft,
    ARRAY(SELECT substring(m.body FROM 1 FOR $2) FROM command m WHERE m.order_id = c.order_id AND m.task = c.task) AS sent
FROM fallout_case c
LEFT JOIN order_draft d ON d.order_id = c.order_id
WHERE c.id = ANY($1::uuid[])
