"""Every column of the database in one of four classes: how an edit of it behind our back would be found.

| class       | what it is                                        | what `unstuck audit verify` does              |
|-------------|---------------------------------------------------|-----------------------------------------------|
| recorded    | the fold of events                                | folds the events and compares                 |
| sealed      | only ever added; named by digest, or a leaf       | digests it and compares                       |
| derived     | recomputable from recorded and sealed ones        | recomputes it                                 |
| operational | running, lease, owner, hints; bookkeeping         | nothing: it is not proven                     |

A row that no event names is not proven either, whatever its columns: intake that was refused, callbacks that
answer no command of ours, calls still under way. Of those only the digest beside the bytes is checked.
"""

from collections.abc import Iterator
from enum import StrEnum


class Kept(StrEnum):
    """How a column is kept honest."""

    RECORDED = "recorded"
    SEALED = "sealed"
    DERIVED = "derived"
    OPERATIONAL = "operational"


_DECLARED = """
| table            | class       | columns                                                                              |
|------------------|-------------|--------------------------------------------------------------------------------------|
| policy_pack      | sealed      | hash files                                                                           |
| policy_pack      | derived     | name                                                                                 |
| policy_pack      | operational | stored_at                                                                            |
| plan             | sealed      | id body                                                                              |
| orders           | recorded    | id source state failed_from plan item_states version seq pack received_at finished_at |
| orders           | derived     | external_id customer promised_at                                                     |
| orders           | operational | number prio                                                                          |
| intake           | recorded    | id at order_id                                                                       |
| intake           | sealed      | sha256 body                                                                          |
| intake           | derived     | size truncated                                                                       |
| intake           | operational | channel source answer because media_type                                             |
| order_draft      | recorded    | order_id raw                                                                         |
| order_draft      | sealed      | body                                                                                 |
| order_annotation | recorded    | id order_id at                                                                       |
| order_annotation | sealed      | body                                                                                 |
| cancel_service_order | recorded | id order_id at outcome                                                              |
| cancel_service_order | sealed  | body                                                                                 |
| cancel_service_order | operational | because                                                                          |
| foreign_event    | operational | source event_id at event order_ref state sha256 body                                 |
| command          | recorded    | order_id task identity                                                               |
| command          | sealed      | body                                                                                 |
| command          | derived     | key                                                                                  |
| dead_identity    | recorded    | order_id task identity how at                                                        |
| task             | recorded    | order_id no state identity since                                                     |
| task             | derived     | target replaces attempt sent_at                                                      |
| task             | operational | tries asks prio due lease owner                                                      |
| attempt          | recorded    | order_id task attempt identity                                                       |
| attempt          | derived     | day                                                                                  |
| attempt          | operational | kind owner at                                                                        |
| outcome          | recorded    | order_id task attempt result status code reference                                   |
| outcome          | sealed      | sha256 body                                                                          |
| outcome          | derived     | day                                                                                  |
| outcome          | operational | at                                                                                   |
| callback         | recorded    | system event_id at order_id task status verdict                                      |
| callback         | sealed      | sha256 body                                                                          |
| callback         | derived     | key                                                                                  |
| fallout_case     | recorded    | id state version seq order_id item step task attempt reason system operation         |
| fallout_case     | recorded    | raw_code raw_sha256 dedup_key detected_at touched_at pack code domain recoverability |
| fallout_case     | recorded    | queue owner repeats resolution resolved_by resolved_at correction                    |
| fallout_case     | recorded    | source unredeemed                                                                    |
| fallout_case     | sealed      | raw raw_message                                                                      |
| fallout_case     | derived     | order_ref order_version customer correlation_id category_hint severity_hint          |
| fallout_case     | operational | number                                                                               |
| correction       | recorded    | id case_id action state reason_code reason proposed_by proposed_at                   |
| correction       | recorded    | applied_by applied_at result                                                         |
| correction       | sealed      | given preview                                                                        |
| evidence         | recorded    | id case_id type sha256 size media_type source captured_by captured_at                |
| evidence         | recorded    | customer_visible proves_resolution corrects says                                     |
| resume_token     | recorded    | id case_id                                                                           |
| resume_token     | sealed      | body                                                                                 |
| resume_token     | derived     | audience issued_at expires_at                                                        |
| resume_use       | recorded    | token at                                                                             |
| resume_use       | derived     | by                                                                                   |
| resume_work      | operational | token step due fence way asked asked_at looks answer before                          |
| timer            | operational | subject kind epoch due task                                                          |
| event            | sealed      | stream seq at recorded_at type v by data                                             |
| event            | operational | xid                                                                                  |
| leaf             | sealed      | n stream seq hash                                                                    |
| checkpoint       | sealed      | size root note                                                                       |
| checkpoint       | operational | at                                                                                   |
| tile             | derived     | height n hash                                                                        |
| signing_key      | recorded    | no verifier after note                                                               |
| signing_key      | operational | at                                                                                   |
| shipment         | operational | destination size tries due because                                                   |
| seal             | derived     | size frontier                                                                        |
| seal             | operational | one below checkpoint_at                                                              |
| failure_event    | recorded    | source event_id at case_id was                                                       |
| failure_event    | sealed      | sha256 body                                                                          |
| subscription     | operational | id name kind url types settings owner state version seq created_at secret old_secret |
| subscription     | operational | old_until next_leaf ahead held_until failures refusals because delivered             |
| subscription     | operational | delivered_at lease fence                                                             |
| delivery         | operational | subscription leaf stream state tries due status because at                           |
| source           | operational | id name title registered version seq heartbeat_s watched_since last_heard            |
| source           | operational | silent_since settings                                                                |
| api_token        | operational | id name sha256 roles created_at revoked_at source                                    |
| person           | operational | id name folded roles password demo made_at disabled_at version seq                   |
| session          | operational | sha256 person made_at seen_at until                                                  |
| sign_in_tries    | operational | subject times last                                                                   |
| sign_up          | operational | sha256 until used_at                                                                 |
| idempotency      | operational | principal key digest status body at                                                  |
| schema_migration | operational | number name sha256 applied_at                                                        |
"""


def _read(declared: str) -> Iterator[tuple[str, str, Kept]]:
    for line in declared.strip().splitlines()[2:]:
        table, kept, columns = (cell.strip() for cell in line.strip().strip("|").split("|"))
        yield from ((table, column, Kept(kept)) for column in columns.split())


def _compiled(declared: str) -> dict[tuple[str, str], Kept]:
    rows = list(_read(declared))
    columns = {(table, column): kept for table, column, kept in rows}
    if len(columns) != len(rows):
        raise ValueError("a column is declared twice")
    return columns


COLUMNS = _compiled(_DECLARED)


def recorded(table: str) -> tuple[str, ...]:
    """The recorded columns of a table, in the order they are declared."""
    return tuple(column for (of, column), kept in COLUMNS.items() if of == table and kept is Kept.RECORDED)
