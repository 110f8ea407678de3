-- The orders of these customers, newest first of each.
SELECT own.id
FROM unnest($1::text[]) AS named(customer), LATERAL (
    SELECT o.id FROM orders o WHERE o.customer = named.customer ORDER BY o.received_at DESC, o.id DESC LIMIT $2
) AS own
LIMIT $2
