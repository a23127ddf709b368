"""Flask as it comes, and with lenient slashes and the method override of its
documentation."""

import os
import sys
import threading

from flask import Flask, request
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request


def ran(handler):
    with open(os.environ["RUNS"], "a") as runs:
        runs.write("%s %s\n" % (handler, request.headers.get("Spelling", "-")))
    return "ran %s\n" % handler


class MethodOverride:
    """Takes the method from a header, the query or the body."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        method = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", "")
        if not method:
            method = Request(environ).args.get("_method", "")
        if not method and environ["REQUEST_METHOD"] == "POST":
            method = Request(environ).form.get("_method", "")
        if method.upper() in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
            environ["REQUEST_METHOD"] = method.upper()
        return self.app(environ, start_response)


def site(lenient):
    app = Flask(__name__)
    app.url_map.strict_slashes = not lenient

    @app.route("/wallet/withdraw", methods=["POST"])
    def withdraw():
        return ran("withdraw")

    @app.route("/account/export")
    def export():
        return ran("export")

    @app.route("/account/phone", methods=["PUT"])
    def phone():
        return ran("phone")

    @app.route("/api/users/<id>/transfer" if not lenient else "/api/users/<path:id>/transfer", methods=["POST"])
    def transfer(id):
        return ran("transfer")

    @app.errorhandler(404)
    @app.errorhandler(405)
    def other(err):
        return "open %s %s\n" % (request.path, request.query_string.decode("latin-1"))

    if lenient:
        app.wsgi_app = MethodOverride(app.wsgi_app)
    return app


class Quiet(WSGIRequestHandler):
    def log(self, type, message, *args):
        pass


if sys.argv[1] == "flask-gunicorn":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from served import Served

    Served(sys.argv[1], site(True)).run()
else:
    for variant, lenient in (("flask", False), ("flask-lenient", True)):
        server = make_server("127.0.0.1", 0, site(lenient), threaded=True, request_handler=Quiet)
        threading.Thread(target=server.serve_forever).start()
        print("listening %s 127.0.0.1:%d" % (variant, server.port), flush=True)
