-- Behind a dead message its whole stream is dead: what came after it must not arrive before it.
UPDATE delivery d SET state = 'DEAD', due = NULL
WHERE d.subscription = $1 AND d.stream = ANY($2) AND d.state = 'WAITING' AND EXISTS (
    SELECT FROM delivery x
    WHERE x.subscription = $1 AND x.stream = d.stream AND x.state = 'DEAD' AND x.leaf < d.leaf)
