-- The unique index on the open dedup key decides which of two racing failures makes the case.
INSERT INTO fallout_case (id, state, version, seq, order_id, item, step, task, attempt, reason, system, operation,
    raw_code, raw_message, raw_sha256, dedup_key, detected_at, touched_at, pack, source, order_ref, order_version,
    customer, correlation_id, category_hint, severity_hint, queue, owner, repeats, raw)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[], $4::int[], $5::uuid[], $6::text[], $7::text[], $8::smallint[],
    $9::int[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[],
    $17::timestamptz[], $18::timestamptz[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[],
    $24::text[], $25::text[], $26::text[], $27::text[], $28::text[], $29::int[], $30::bytea[])
RETURNING id, number
