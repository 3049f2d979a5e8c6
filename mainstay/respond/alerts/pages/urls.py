"""The pages of alerts and silences, of channels and routes together."""

from django.urls import path

from mainstay.respond.alerts.pages import channel_views, route_views, silence_views, views

urlpatterns = [
    path("alerts/", views.alerts, name="alerts"),
    path("alerts/<id:alert_id>/", views.alert, name="alert"),
    path("alerts/<id:alert_id>/acknowledge", views.acknowledge, name="alert_acknowledge"),
    path("alerts/<id:alert_id>/unacknowledge", views.unacknowledge, name="alert_unacknowledge"),
    path("silences/", silence_views.silences, name="silences"),
    path("silences/new", silence_views.create, name="silence_create"),
    path("silences/<id:silence_id>/end", silence_views.end, name="silence_end"),
    path("channels/", channel_views.channels, name="channels"),
    path("routes/new", route_views.ROUTE.new, name="route_new"),
    path("routes/who", route_views.who, name="route_who"),
    path("routes/<id:route_id>/", route_views.ROUTE.edit, name="route_edit"),
    path("routes/<id:route_id>/move", route_views.move, name="route_move"),
    path("routes/<id:route_id>/delete", route_views.ROUTE.delete, name="route_delete"),
]
