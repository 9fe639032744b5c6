"""A static server for many sites: http.server, with the folder chosen by the Host header as a host of sites does."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@contextmanager
def static_server(folders: Mapping[str, Path]) -> Iterator[int]:
    """Serve `folders[host]` on `127.0.0.1` and give the port.

    A staticwebapp.config.json is followed in its mimeTypes and globalHeaders, and not served.
    """

    class Handler(SimpleHTTPRequestHandler):
        def translate_path(self, path: str) -> str:
            host = (self.headers["Host"] or "").partition(":")[0]
            self.directory = str(folders.get(host, "/nowhere"))
            config = Path(self.directory, "staticwebapp.config.json")
            self._config = json.loads(config.read_text()) if config.is_file() else {}
            self.extensions_map = {**SimpleHTTPRequestHandler.extensions_map, **self._config.get("mimeTypes", {})}
            return super().translate_path(path) if path != f"/{config.name}" else "/nowhere"

        def end_headers(self) -> None:
            for name, value in self._config.get("globalHeaders", {}).items():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the base class)
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
