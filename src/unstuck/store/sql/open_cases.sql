-- After the orders' lock, ids in order: orders, then cases.
SELECT * FROM fallout_case WHERE order_id = ANY($1::uuid[])
    AND state NOT IN ('RESOLVED_RESUME', 'RESOLVED_CANCEL', 'RESOLVED_COMPENSATE', 'RESOLVED_NONE', 'CLOSED')
ORDER BY id FOR UPDATE
