-- A bounded bite of those that count no more.
DELETE FROM session WHERE sha256 IN (
    SELECT sha256 FROM session WHERE until < $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED
);
