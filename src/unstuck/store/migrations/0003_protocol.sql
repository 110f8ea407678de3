-- A command sent again under its key: its answer is found by the key, replaced once it is known, and dropped by age.

CREATE INDEX idempotency_by_age ON idempotency (at);
GRANT UPDATE ON idempotency TO {app_role};
