-- Lists: every order in which a list can be walked has an index that ends in that order, so that a page costs the
-- same on the first case and on the ten millionth. Open and closed cases are apart: a case is in one of the two, which
-- costs a write what one index would, and ten million closed cases do not stand between the open ones.
-- A change of the state writes every index of the row again: there is none without a filter or an order that needs it.

DROP INDEX case_newest;
-- `number <> -1` and the like are true of every case: keys. The planner takes an index only for a statement that implies
-- its condition, so each of these serves the walk that names its key, and is never read from end to end for a filter
-- that the statistics, which know nothing of open and closed, hold for common.
CREATE INDEX case_open_newest ON fallout_case (detected_at, id)
    WHERE number <> -1 AND state NOT IN ('RESOLVED_RESUME', 'RESOLVED_CANCEL', 'RESOLVED_COMPENSATE', 'RESOLVED_NONE', 'CLOSED');
CREATE INDEX case_closed_newest ON fallout_case (detected_at, id)
    WHERE number <> -1 AND state IN ('RESOLVED_RESUME', 'RESOLVED_CANCEL', 'RESOLVED_COMPENSATE', 'RESOLVED_NONE', 'CLOSED');
CREATE INDEX case_open_touched ON fallout_case (touched_at, id)
    WHERE number <> -2 AND state NOT IN ('RESOLVED_RESUME', 'RESOLVED_CANCEL', 'RESOLVED_COMPENSATE', 'RESOLVED_NONE', 'CLOSED');
CREATE INDEX case_closed_touched ON fallout_case (touched_at, id)
    WHERE number <> -2 AND state IN ('RESOLVED_RESUME', 'RESOLVED_CANCEL', 'RESOLVED_COMPENSATE', 'RESOLVED_NONE', 'CLOSED');
CREATE INDEX case_open_by_number ON fallout_case (number)
    WHERE number <> -3 AND state NOT IN ('RESOLVED_RESUME', 'RESOLVED_CANCEL', 'RESOLVED_COMPENSATE', 'RESOLVED_NONE', 'CLOSED');

-- What a case has not got yet is not in its index: a new case, which has no queue, owner or code, costs nothing there.
DROP INDEX case_by_queue;
CREATE INDEX case_by_queue ON fallout_case (queue, detected_at, id) WHERE queue <> ''
    AND state NOT IN ('RESOLVED_RESUME', 'RESOLVED_CANCEL', 'RESOLVED_COMPENSATE', 'RESOLVED_NONE', 'CLOSED');
CREATE INDEX case_by_owner ON fallout_case (owner, detected_at, id) WHERE owner <> ''
    AND state NOT IN ('RESOLVED_RESUME', 'RESOLVED_CANCEL', 'RESOLVED_COMPENSATE', 'RESOLVED_NONE', 'CLOSED');
CREATE INDEX case_by_code ON fallout_case (code, detected_at, id) WHERE code <> ''
    AND state NOT IN ('RESOLVED_RESUME', 'RESOLVED_CANCEL', 'RESOLVED_COMPENSATE', 'RESOLVED_NONE', 'CLOSED');
-- The states that few cases are in. Those of the many (queued, assigned, in progress) are met soon on any walk.
CREATE INDEX case_by_state ON fallout_case (state, detected_at, id)
    WHERE state IN ('DETECTED', 'CLASSIFIED', 'WAITING_CUSTOMER', 'WAITING_PARTNER', 'WAITING_VENDOR', 'WAITING_FIELD',
        'WAITING_INCIDENT', 'CORRECTION_PROPOSED', 'APPROVAL_REQUIRED', 'CORRECTION_APPLIED', 'VERIFYING');
-- Who asks for a customer or an order asks for its history too.
CREATE INDEX case_of_customer ON fallout_case (customer, detected_at, id) WHERE customer <> '';
CREATE INDEX case_by_order_ref ON fallout_case (order_ref) WHERE order_ref <> '';

CREATE INDEX resume_token_of_case ON resume_token (case_id);

DROP INDEX orders_newest;
CREATE INDEX orders_newest ON orders (received_at, id);
CREATE INDEX orders_of_customer ON orders (customer, received_at, id);
