-- The order that has this source's external id, and the digest of the bytes it came with.
SELECT o.id, i.sha256 FROM orders o JOIN order_draft d ON d.order_id = o.id JOIN intake i ON i.id = d.raw
WHERE o.source = $1 AND o.external_id = $2
