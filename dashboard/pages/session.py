"""Signing in and out, inside the mount and in its own look; a host's LOGIN_URL wins where set."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from ..conf import get_settings
from ..draw.welcome import backdrop
from ..guard import guarded, login_url, mount
from .shell import preferences


class SignIn(LoginView):
    """The login page; only ever redirects to where it was asked to, on this host."""

    template_name = "queuecore_dashboard/session/login.html"
    form_class = AuthenticationForm
    redirect_authenticated_user = False

    def get_default_redirect_url(self) -> str:
        return mount()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        settings = get_settings()
        return super().get_context_data(**kwargs) | {
            "title": _("Sign in"),
            "mount": mount(),
            "host": self.request.get_host(),
            "environment": settings.environment,
            "environment_short": settings.environment_short,
            "environment_kind": settings.environment_kind,
            "backdrop": backdrop(),
            **preferences(self.request),
        }


@sensitive_post_parameters()
@guarded("GET", "POST", anonymous=True)
def login(request: HttpRequest) -> HttpResponseBase:
    """Show and take the login form."""
    if request.user.is_authenticated and request.method == "GET" and "next" not in request.GET:
        return redirect(mount())
    view: HttpResponseBase = SignIn.as_view()(request)
    return view


class SignOut(LogoutView):
    """Sign out by POST."""

    http_method_names = ["post"]  # noqa: RUF012 - as Django declares it

    def get_success_url(self) -> str:
        return login_url()


@guarded("POST", anonymous=True)
def logout(request: HttpRequest) -> HttpResponseBase:
    """End the session and show the login page."""
    view: HttpResponseBase = SignOut.as_view()(request)
    return view
