-- The columns of an order that only its draft says, beside that draft.
SELECT o.id, o.external_id, o.customer, o.promised_at, d.body FROM order_draft d JOIN orders o ON o.id = d.order_id
