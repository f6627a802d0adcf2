"""The pages of the site."""
# mypy: disable-error-code="import-untyped, import-not-found"

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path


def index(request: HttpRequest) -> HttpResponse:
    """Say hello."""
    return HttpResponse("hello from django")


def profile(request: HttpRequest) -> HttpResponse:
    """Tell which settings are in force."""
    return HttpResponse(settings.PROFILE)


def secure(request: HttpRequest) -> HttpResponse:
    """Tell whether the client came over https."""
    return HttpResponse(str(request.is_secure()))


urlpatterns = [path("", index), path("profile", profile), path("secure", secure)]
