-- Orders by a name that people know. $2 is the name as a number, $3 as an id: null when it cannot be one.
SELECT id FROM (
    SELECT id FROM orders WHERE number = $2
    UNION SELECT id FROM orders WHERE id = $3
    UNION (SELECT id FROM orders WHERE external_id = $1 LIMIT $4)
    UNION (SELECT id FROM orders WHERE customer = $1 ORDER BY received_at DESC, id DESC LIMIT $4)
) AS named LIMIT $4
