-- What was sent, by its digest: the body itself may be large, and only equality counts.
SELECT order_id, task, identity, key, encode(sha256(body), 'hex') AS body FROM command WHERE order_id = ANY($1::uuid[])
