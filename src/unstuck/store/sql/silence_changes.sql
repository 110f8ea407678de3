-- Watched sources whose silence began or ended. What another worker is looking at is skipped.
SELECT * FROM source WHERE heartbeat_s IS NOT NULL AND (silent_since IS NULL) =
    (greatest(last_heard, watched_since) < $1::timestamptz - heartbeat_s * interval '1 second')
ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
