"""A small server of the Open Inference Protocol v2, for tests: it can limit the rate, fail, and go away."""

from __future__ import annotations

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np


class Service:
    """predict: (n, ...) to (n, k) probabilities, or (n,) labels. limit: requests between two 429s, 0 for none."""

    def __init__(self, predict, shape, *, classes, labels=False, limit=0, retry_after="0", fail_after=None):
        self.predict, self.shape, self.classes, self.labels = predict, shape, classes, labels
        self.limit, self.retry_after, self.fail_after = limit, retry_after, fail_after
        self.requests, self.limited, self.rows, self.headers = 0, 0, 0, {}

    def answer(self, path, body, headers):
        self.requests, self.headers = self.requests + 1, headers
        if self.fail_after is not None and self.requests > self.fail_after:
            return 503, {}, {"error": "gone"}
        if self.limit and self.requests % self.limit == 0:
            self.limited += 1
            return 429, {"Retry-After": self.retry_after}, {"error": "slow down"}
        if not path.startswith("/v2/models/m"):
            return 404, {}, {"error": "no such model"}
        if body is None:
            out = {"name": "label", "datatype": "INT64", "shape": [-1]}
            if not self.labels:
                out = {"name": "p", "datatype": "FP32", "shape": [-1, self.classes]}
            return 200, {}, {
                "name": "m", "versions": ["1"], "platform": "test",
                "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, *self.shape]}], "outputs": [out],
            }  # fmt: skip
        given = body["inputs"][0]
        x = np.array(given["data"], np.float32).reshape(given["shape"])
        self.rows += len(x)
        said = np.asarray(self.predict(x))
        out = {"name": "label" if self.labels else "p", "shape": list(said.shape), "data": said.ravel().tolist()}
        return 200, {}, {"outputs": [out | {"datatype": "INT64" if self.labels else "FP32"}]}


@contextmanager
def serving(service):
    """Yield the URL of the model."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self._reply(None)

        def do_POST(self):
            self._reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _reply(self, body):
            status, headers, value = service.answer(self.path, body, dict(self.headers))
            data = json.dumps(value).encode()
            self.send_response(status)
            for name, text in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v2/models/m"
        finally:
            server.shutdown()
            thread.join()
