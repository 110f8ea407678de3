-- Times are no order and have no index: this reads all events once, and sorts only those of the period.
SELECT l.n, e.stream, e.seq, e.at, e.recorded_at, e.type, e.v, e.by, e.data
FROM event e LEFT JOIN leaf l ON l.stream = e.stream AND l.seq = e.seq
WHERE ($1::timestamptz IS NULL OR e.recorded_at >= $1) AND ($2::timestamptz IS NULL OR e.recorded_at < $2)
ORDER BY l.n NULLS LAST, e.stream, e.seq
