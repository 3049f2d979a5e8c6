"""The pages of channels and deliveries."""

from django.urls import path

from mainstay.respond.delivery.pages import log_views, views

urlpatterns = [
    path("new-channel/<slug:kind>", views.CHANNEL.new, name="channel_new"),
    path("channels/<slug:name>/", views.CHANNEL.edit, name="channel_edit"),
    path("channels/<slug:name>/test", views.test, name="channel_test"),
    path("channels/<slug:name>/pause", views.pause, name="channel_pause"),
    path("channels/<slug:name>/delete", views.CHANNEL.delete, name="channel_delete"),
    path("deliveries/", log_views.deliveries, name="deliveries"),
    path("deliveries/<id:delivery_id>/", log_views.delivery, name="delivery"),
    path("deliveries/<id:delivery_id>/test", views.test_result, name="delivery_test"),
    path("deliveries/<id:delivery_id>/retry", log_views.retry, name="delivery_retry"),
    path("deliveries/<id:delivery_id>/discard", log_views.discard, name="delivery_discard"),
]
