"""Serves an application on a free port and prints its address when it is ready, as every server of the benchmark does."""

import socket

import uvicorn


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets=sockets)
        host, port = sockets[0].getsockname()
        print(f"Serving http://{host}:{port}", flush=True)


def serve(app):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])
