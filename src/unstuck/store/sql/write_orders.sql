-- Under the lock taken first; the sequence guards against a change that was decided on older rows.
UPDATE orders o SET state = u.state, failed_from = u.failed_from, plan = u.plan,
    item_states = CASE WHEN u.items = '' THEN '{}' ELSE string_to_array(u.items, ',') END,
    version = u.version, seq = u.seq, finished_at = u.finished_at
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::int[], $8::timestamptz[], $9::int[])
    AS u(id, state, failed_from, plan, items, version, seq, finished_at, before)
WHERE o.id = u.id AND o.seq = u.before
