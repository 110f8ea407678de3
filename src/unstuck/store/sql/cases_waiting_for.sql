-- Cases about an order that has just come: its own source's, or anybody's when no other order has this name.
SELECT * FROM fallout_case WHERE order_id IS NULL AND order_ref = $2 AND order_ref <> ''
    AND (source = $1 OR NOT EXISTS (SELECT FROM orders WHERE external_id = $2 AND source <> $1))
ORDER BY id FOR UPDATE
