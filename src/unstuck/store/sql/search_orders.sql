-- Orders by a name that people know, the newest of a customer first. $2 is the name as a number, $3 as an id.
SELECT id, number, external_id, source, customer, state, received_at FROM orders WHERE id IN (
    SELECT id FROM orders WHERE number = $2
    UNION SELECT id FROM orders WHERE id = $3
    UNION (SELECT id FROM orders WHERE external_id = $1 LIMIT $4)
    UNION (SELECT id FROM orders WHERE customer = $1 ORDER BY received_at DESC, id DESC LIMIT $4)
) ORDER BY received_at DESC, id DESC LIMIT $4
