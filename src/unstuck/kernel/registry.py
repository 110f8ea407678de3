"""What can become true of what is registered here: whom we tell what happens, and the keys that sign the history."""

from unstuck.kernel.event import EventType

SUBSCRIBED = EventType("subscription.created", True, "a receiver was registered for published events")
PAUSED = EventType("subscription.paused", True, "nothing is sent to it until it is resumed")
RESUMED = EventType("subscription.resumed", True, "it gets what came meanwhile")
ROTATED = EventType(
    "subscription.secret-rotated", True, "it has a new signing secret; the old one still signs for a day"
)
REPLAYED = EventType("subscription.replayed", True, "somebody had messages sent again")
DROPPED = EventType("subscription.message-dropped", True, "somebody gave up a dead message, so that later ones go on")
UNSUBSCRIBED = EventType("subscription.deleted", True, "it gets nothing any more")
KEY_ROTATED = EventType("signing-key.rotated", True, "a new key signs the history; the one before has signed this")

ALL = (SUBSCRIBED, PAUSED, RESUMED, ROTATED, REPLAYED, DROPPED, UNSUBSCRIBED, KEY_ROTATED)
