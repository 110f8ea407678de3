-- Only the delivery that made the order: the others are not in its history. `whole` is size and truncated in one.
SELECT i.id, i.order_id, i.at, i.sha256, i.size = octet_length(i.body) AND NOT i.truncated AS whole
FROM intake i JOIN order_draft d ON d.raw = i.id WHERE d.order_id = ANY($1::uuid[])
