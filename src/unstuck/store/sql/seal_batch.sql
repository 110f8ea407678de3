-- Everything at or above the last bound and below the oldest transaction still running has committed or never
-- will: the range is complete, whatever order identity values or commits came in.
SELECT stream, seq, at, recorded_at, type, v, by, data FROM event
WHERE xid >= $1::text::xid8 AND xid < $2::text::xid8 ORDER BY xid, stream, seq
