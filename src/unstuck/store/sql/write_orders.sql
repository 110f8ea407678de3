-- Under the lock taken first; the sequence guards against a change that was decided on older rows.
-- Only a failed order remembers the state it failed from.
UPDATE orders o SET state = u.state, version = u.version, seq = u.seq, finished_at = u.finished_at,
    failed_from = CASE WHEN u.state = 'FAILED' THEN o.failed_from END,
    item_states = CASE WHEN u.items = '' THEN '{}' ELSE string_to_array(u.items, ',') END
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::int[], $6::timestamptz[], $7::int[])
    AS u(id, state, items, version, seq, finished_at, before)
WHERE o.id = u.id AND o.seq = u.before
