-- A message that was not taken, or that waits behind one. It keeps its first place in the stream at every try.
INSERT INTO delivery (subscription, leaf, stream, state, tries, due, status, because, at)
SELECT $1, leaf, stream, state, tries, due, status, because, $2
FROM unnest($3::bigint[], $4::uuid[], $5::text[], $6::int[], $7::timestamptz[], $8::int[], $9::text[])
    AS parked (leaf, stream, state, tries, due, status, because)
ON CONFLICT (subscription, leaf) DO UPDATE SET
    state = excluded.state, tries = excluded.tries, due = excluded.due, status = excluded.status,
    because = excluded.because, at = excluded.at
WHERE excluded.tries > delivery.tries
