-- Signs of life: how many events are sealed, when the last was recorded (sealed or not), the sources that have been
-- heard, and those that should have been and were not.
SELECT
    (SELECT size FROM seal) AS leaves,
    (SELECT recorded_at FROM event ORDER BY xid DESC LIMIT 1) AS last_event,
    (SELECT count(*) FROM source WHERE last_heard IS NOT NULL) AS heard,
    (SELECT max(last_heard) FROM source) AS last_heard,
    ARRAY(SELECT name FROM source WHERE silent_since IS NOT NULL ORDER BY name) AS silent,
    ARRAY(SELECT last_heard FROM source WHERE silent_since IS NOT NULL ORDER BY name) AS silent_heard
