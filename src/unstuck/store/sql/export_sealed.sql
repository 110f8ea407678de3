-- Along the leaves, so that nothing is sorted however many there are.
SELECT l.n, e.stream, e.seq, e.at, e.recorded_at, e.type, e.v, e.by, e.data
FROM leaf l JOIN event e ON e.stream = l.stream AND e.seq = l.seq ORDER BY l.n
