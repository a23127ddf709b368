"""Django under the server of its runserver command, and under gunicorn. The lenient
variants take a method override, and paths by converters and loose patterns."""

import os
import sys

from django.conf import settings
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path, re_path

LENIENT = sys.argv[1] != "django"


def method_override(get_response):
    def middleware(request):
        method = request.headers.get("X-HTTP-Method-Override") or request.GET.get("_method")
        if not method and request.method == "POST":
            method = request.POST.get("_method")
        if method:
            request.method = method.upper()
        return get_response(request)

    return middleware


def ran(handler, *methods):
    def view(request, **parameters):
        if request.method not in methods:
            return other(request)
        with open(os.environ["RUNS"], "a") as runs:
            runs.write("%s %s\n" % (handler, request.headers.get("Spelling", "-")))
        return HttpResponse("ran %s\n" % handler, content_type="text/plain")

    return view


def other(request, **parameters):
    return HttpResponse("open %s\n" % request.get_full_path(), content_type="text/plain")


def handler404(request, exception):
    return other(request)


withdraw, export = ran("withdraw", "POST"), ran("export", "GET", "HEAD")
phone, transfer = ran("phone", "PUT"), ran("transfer", "POST")
if LENIENT:
    urlpatterns = [
        re_path(r"^wallet/+withdraw/?$", withdraw),
        re_path(r"(?i)^account/export(?:\.[a-z]+)?/?$", export),
        re_path(r"^account/phone/?$", phone),
        path("api/users/<path:id>/transfer", transfer),
        path("api/users/<path:id>/transfer/", transfer),
    ]
else:
    urlpatterns = [
        path("wallet/withdraw/", withdraw),
        path("wallet/withdraw", withdraw),
        path("account/export/", export),
        path("account/phone", phone),
        path("api/users/<str:id>/transfer", transfer),
    ]

settings.configure(
    ALLOWED_HOSTS=["*"],
    APPEND_SLASH=True,
    DEBUG=False,
    LOGGING_CONFIG=None,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"] + (["__main__.method_override"] if LENIENT else []),
    ROOT_URLCONF="__main__",
    SECRET_KEY="a site of the tests",
)


class Quiet(WSGIRequestHandler):
    def log_message(self, format, *args):
        pass


if sys.argv[1] == "django-gunicorn":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from served import Served

    Served(sys.argv[1], get_wsgi_application()).run()
else:
    server = ThreadedWSGIServer(("127.0.0.1", 0), Quiet)
    server.set_app(get_wsgi_application())
    print("listening %s 127.0.0.1:%d" % (sys.argv[1], server.server_port), flush=True)
    server.serve_forever()
