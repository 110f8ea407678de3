-- Below the sealer's bound every event has its leaf; one that has none was put there by somebody else.
SELECT e.stream, e.seq FROM event e
WHERE e.xid < $1::text::xid8 AND NOT EXISTS (SELECT FROM leaf l WHERE l.stream = e.stream AND l.seq = e.seq)
LIMIT 1000
