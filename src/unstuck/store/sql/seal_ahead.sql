-- The oldest transaction below the bound that goes on with a stream from a transaction at or above it: it waited for the
-- younger one, whose events come first and cannot be sealed yet.
SELECT e.xid::text FROM event p JOIN event e ON e.stream = p.stream AND e.seq = p.seq + 1
WHERE p.xid >= $2::text::xid8 AND e.xid >= $1::text::xid8 AND e.xid < $2::text::xid8 ORDER BY e.xid LIMIT 1
