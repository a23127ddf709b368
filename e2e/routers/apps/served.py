"""Serves a WSGI application with gunicorn, and says where."""

from gunicorn.app.base import BaseApplication


class Served(BaseApplication):
    def __init__(self, router, application):
        self.router = router
        self.application = application
        super().__init__()

    def load_config(self):
        self.cfg.set("bind", "127.0.0.1:0")
        self.cfg.set("workers", 1)
        self.cfg.set("threads", 8)
        self.cfg.set("loglevel", "critical")
        self.cfg.set("when_ready", self.ready)

    def ready(self, server):
        host, port = server.LISTENERS[0].sock.getsockname()
        print("listening %s %s:%d" % (self.router, host, port), flush=True)

    def load(self):
        return self.application
