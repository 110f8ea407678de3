-- In the order of the tree; what is not sealed yet comes last.
SELECT l.n, e.stream, e.seq, e.at, e.recorded_at, e.type, e.v, e.by, e.data
FROM event e LEFT JOIN leaf l ON l.stream = e.stream AND l.seq = e.seq
WHERE e.stream = ANY($1::uuid[]) ORDER BY l.n NULLS LAST, e.stream, e.seq
