-- The first message of a stream is the one that has a time; when it is gone the next one takes its place.
UPDATE delivery d SET due = $3
WHERE d.subscription = $1 AND d.stream = ANY($2) AND d.state = 'WAITING' AND d.due IS NULL AND NOT EXISTS (
    SELECT FROM delivery x WHERE x.subscription = $1 AND x.stream = d.stream AND x.leaf < d.leaf)
