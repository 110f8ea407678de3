-- The open cases of the orders on one page, and not what was said about each: only that there are some, and which.
SELECT order_id, number, state, code FROM fallout_case WHERE order_id = ANY($1::uuid[])
    AND state NOT IN ('RESOLVED_RESUME', 'RESOLVED_CANCEL', 'RESOLVED_COMPENSATE', 'RESOLVED_NONE', 'CLOSED')
ORDER BY number
