-- The transaction tells which events were recorded together: the version moves once for all of them.
SELECT stream, seq, at, type, v, by, data, xid::text AS xid FROM event WHERE stream = ANY($1::uuid[]) ORDER BY stream, seq
