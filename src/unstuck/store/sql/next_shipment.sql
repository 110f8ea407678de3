-- In the order of their sizes, one at a time: a place that was away gets all it missed. Whoever holds the row ships.
SELECT c.size, c.note, s.tries FROM shipment s
CROSS JOIN LATERAL (SELECT size, note FROM checkpoint WHERE size > s.size ORDER BY size LIMIT 1) c
WHERE s.destination = $1 AND s.due <= $2
FOR UPDATE OF s SKIP LOCKED
