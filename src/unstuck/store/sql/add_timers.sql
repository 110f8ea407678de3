-- A timer that is there already stays as it is: the same thing is due once.
INSERT INTO timer (subject, kind, epoch, due, task)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[], $4::timestamptz[], $5::smallint[]) ON CONFLICT DO NOTHING
