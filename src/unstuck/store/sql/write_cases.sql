-- Compare-and-set: a row that does not come back was changed by somebody else first.
UPDATE fallout_case c SET state = u.state, version = u.version, seq = u.seq, touched_at = u.touched_at, code = u.code,
    domain = u.domain, recoverability = u.recoverability, queue = u.queue, owner = u.owner, repeats = u.repeats,
    resolution = u.resolution, resolved_by = u.resolved_by, resolved_at = u.resolved_at, correction = u.correction,
    attempt = u.attempt, order_id = u.order_id, order_version = u.order_version,
    unredeemed = u.unredeemed
FROM unnest($1::uuid[], $2::text[], $3::int[], $4::int[], $5::timestamptz[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::int[], $12::text[], $13::text[], $14::timestamptz[], $15::uuid[], $16::int[],
    $17::uuid[], $18::text[], $19::uuid[], $20::int[])
    AS u(id, state, version, seq, touched_at, code, domain, recoverability, queue, owner, repeats, resolution,
        resolved_by, resolved_at, correction, attempt, order_id, order_version, unredeemed, before)
WHERE c.id = u.id AND c.seq = u.before RETURNING c.id
