-- Cases by a name that people know: their own number or id, their order's, or their customer's. $2 is the name as a
-- case number, $3 as an id, $4 as an order number: null when it cannot be one.
SELECT id FROM (
    SELECT id FROM fallout_case WHERE number = $2
    UNION SELECT id FROM fallout_case WHERE id = $3
    UNION (SELECT id FROM fallout_case WHERE order_ref = $1 AND order_ref <> '' LIMIT $5)
    UNION (SELECT id FROM fallout_case WHERE customer = $1 AND customer <> '' ORDER BY detected_at DESC, id DESC LIMIT $5)
    UNION (
        SELECT c.id FROM fallout_case c JOIN (
            SELECT id FROM orders WHERE number = $4
            UNION SELECT id FROM orders WHERE id = $3
            UNION (SELECT id FROM orders WHERE external_id = $1 LIMIT $5)
            UNION (SELECT id FROM orders WHERE customer = $1 ORDER BY received_at DESC, id DESC LIMIT $5)
        ) AS own ON own.id = c.order_id LIMIT $5
    )
) AS named LIMIT $5
