-- Receivers with how far they are behind; $1 names one, $2 its owner, null for all.
SELECT s.*, greatest(e.size - s.next_leaf, 0) AS behind,
    (SELECT count(*) FROM delivery d WHERE d.subscription = s.id AND d.state = 'WAITING') AS waiting,
    (SELECT count(*) FROM delivery d WHERE d.subscription = s.id AND d.state = 'DEAD') AS dead
FROM subscription s CROSS JOIN seal e
WHERE s.state <> 'DELETED' AND ($1::uuid IS NULL OR s.id = $1) AND ($2::text IS NULL OR s.owner = $2)
ORDER BY s.created_at, s.id LIMIT 1000
