-- Dead messages wait again, from the first try, each stream in its order.
UPDATE delivery SET state = 'WAITING', tries = 0, due = NULL WHERE subscription = $1 AND state = 'DEAD'
RETURNING stream
