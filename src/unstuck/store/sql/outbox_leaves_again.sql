-- The same for leaves that wait to be sent again.
SELECT l.n, l.stream, l.seq, e.at, e.type, e.v, e.by, e.data,
    c.id AS case_id, c.number AS case_number, coalesce(o.id, c.order_id) AS order_id, o.number AS order_number,
    coalesce(o.external_id, '') AS external_id, coalesce(c.order_ref, '') AS order_ref,
    coalesce(c.source, '') AS source, coalesce(c.item, '') AS item, coalesce(c.step, '') AS step,
    coalesce(nullif(c.customer, ''), o.customer, '') AS customer, coalesce(c.correlation_id, '') AS correlation_id
FROM leaf l JOIN event e USING (stream, seq)
    LEFT JOIN fallout_case c ON c.id = l.stream
    LEFT JOIN orders o ON o.id = coalesce(c.order_id, l.stream)
WHERE l.n = ANY($1) ORDER BY l.n
