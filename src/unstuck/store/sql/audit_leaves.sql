-- In the order of the tree, from the leaf last seen: numbers may have been tampered with, so none is presumed.
SELECT l.n, l.stream, l.seq, l.hash, e.at, e.recorded_at, e.type, e.v, e.by, e.data,
    e.xid < $2::text::xid8 AS settled
FROM leaf l LEFT JOIN event e ON e.stream = l.stream AND e.seq = l.seq
WHERE l.n > $1 ORDER BY l.n LIMIT $3
