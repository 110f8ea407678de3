-- What has happened to these cases, and whether it was sealed below leaf $2: what an open page had seen of it.
SELECT e.stream, e.type, e.at, e.by, e.data, coalesce(l.n < $2, false) AS seen
FROM event e LEFT JOIN leaf l USING (stream, seq)
WHERE e.stream = ANY($1::uuid[]) ORDER BY e.stream, e.seq
