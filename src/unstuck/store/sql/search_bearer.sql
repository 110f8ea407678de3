-- What bears this very number or id: $1 as an order's number, $2 as a case's, $3 as an id; null when it cannot be one.
SELECT 'order' AS kind, number FROM orders WHERE number = $1
UNION ALL SELECT 'order', number FROM orders WHERE id = $3
UNION ALL SELECT 'case', number FROM fallout_case WHERE number = $2
UNION ALL SELECT 'case', number FROM fallout_case WHERE id = $3
LIMIT 1
