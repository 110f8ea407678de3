"""Everything under TMF641's base path."""

from litestar import Router

from unstuck.web.tmf import cancel, hub, listener, service_order
from unstuck.web.tmf.projection import BASE


def router(body_limit: int) -> Router:
    """The routes of TMF641; bodies are limited where they are read, so that what is too large is kept in part."""
    handlers = [
        service_order.get_service_order,
        service_order.list_service_orders,
        service_order.create(body_limit),
        service_order.patch_service_order,
        cancel.create_cancel_service_order,
        cancel.get_cancel_service_order,
        cancel.list_cancel_service_orders,
        hub.subscribe,
        hub.show_listener,
        hub.unsubscribe,
        listener.hear(body_limit),
    ]
    return Router(BASE, route_handlers=handlers, request_max_body_size=None)
