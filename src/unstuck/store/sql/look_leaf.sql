-- LEFT JOIN: an event whose leaf is not numbered yet is there all the same, only not sealed.
SELECT l.n, e.stream, e.seq, e.at, e.recorded_at, e.type, e.v, e.by, e.data
FROM event e LEFT JOIN leaf l ON l.stream = e.stream AND l.seq = e.seq WHERE e.stream = $1 AND e.seq = $2
