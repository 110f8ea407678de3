-- First statement of every transaction that touches orders, ids in order: no deadlock between workers.
SELECT id, number, state, failed_from, plan, item_states, version, seq, prio, pack, finished_at
FROM orders WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE
