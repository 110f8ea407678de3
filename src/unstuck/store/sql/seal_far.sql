-- Where a long backlog is cut: after the transaction that holds its $3rd event, so that none is split. Null when short.
SELECT x.xid::text FROM event x
WHERE x.xid < $2::text::xid8 AND x.xid > (
    SELECT xid FROM event WHERE xid >= $1::text::xid8 AND xid < $2::text::xid8 ORDER BY xid OFFSET $3 - 1 LIMIT 1)
ORDER BY x.xid LIMIT 1
