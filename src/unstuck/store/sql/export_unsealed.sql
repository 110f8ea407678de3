-- Above the sealer's bound only; an older event without a leaf is a forgery, which `audit verify` names.
SELECT NULL::bigint AS n, e.stream, e.seq, e.at, e.recorded_at, e.type, e.v, e.by, e.data
FROM event e WHERE e.xid >= (SELECT below FROM seal)
    AND NOT EXISTS (SELECT FROM leaf l WHERE l.stream = e.stream AND l.seq = e.seq) ORDER BY e.stream, e.seq
