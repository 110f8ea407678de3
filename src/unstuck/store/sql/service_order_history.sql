-- Everything that was sealed of an order and of its cases up to a leaf, in the order of the leaves.
SELECT l.n, e.stream, e.seq, e.at, e.type, e.data FROM event e JOIN leaf l ON l.stream = e.stream AND l.seq = e.seq
WHERE l.n <= $2 AND (e.stream = $1 OR e.stream IN (SELECT id FROM fallout_case WHERE order_id = $1))
ORDER BY l.n
