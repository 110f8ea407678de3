-- Whole orders for TM Forum's view, many at once: the row, what intake understood, the bytes it came in.
SELECT o.*, d.body AS draft, i.body AS came, i.truncated
FROM orders o JOIN order_draft d ON d.order_id = o.id JOIN intake i ON i.id = d.raw
WHERE o.id = ANY($1::uuid[])
