-- A bounded bite of those that count no more; a name that is being tried now can wait.
DELETE FROM sign_in_tries WHERE subject IN (
    SELECT subject FROM sign_in_tries WHERE last < $1 ORDER BY last LIMIT $2 FOR UPDATE SKIP LOCKED
);
