-- One more try, counted before the password is looked at: the row's lock makes the tries of all servers a line.
INSERT INTO sign_in_tries AS known (subject, times, last) VALUES ($1, ARRAY[$2::timestamptz], $2)
ON CONFLICT (subject) DO UPDATE SET last = $2,
    times = (SELECT array_agg(at ORDER BY at) FROM unnest(known.times || ARRAY[$2::timestamptz]) at WHERE at > $3)
RETURNING times
