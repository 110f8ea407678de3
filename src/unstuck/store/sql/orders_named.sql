-- A reference is in the words of whoever reports: our id, our number, or the id an order had where it came from.
-- Of a name that many sources use, three are enough to see that it is not one order's.
SELECT u.ref, o.id, o.source, o.plan FROM unnest($1::text[]) AS u(ref)
CROSS JOIN LATERAL (SELECT id, source, plan FROM orders WHERE external_id = u.ref LIMIT 3) o
UNION ALL
SELECT o.id::text, o.id, o.source, o.plan FROM orders o WHERE o.id = ANY($2::text[]::uuid[])
UNION ALL
SELECT 'ORD-' || o.number, o.id, o.source, o.plan FROM orders o WHERE o.number = ANY($3::bigint[])
