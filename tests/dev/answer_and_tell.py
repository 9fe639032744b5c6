"""A process that starts the worker library with the app in the folder given, asks for the policy of the domain given
and tells in JSON what it answered and where every module came from.
"""

import asyncio
import json
import sys
from pathlib import Path

from dev.worker import Worker


async def _main(app_folder: Path, domain: str) -> None:
    async with Worker(app_folder) as worker:
        host = f"mta-sts.{domain}"
        answer = await worker.invoke_http(
            "policy", url=f"https://{host}/.well-known/mta-sts.txt", headers={"Host": host}
        )
        # An app with a managed identity imports these too, with the first read.
        import azure.identity  # noqa: F401 - its place is told

        modules = {name: file for name, module in sys.modules.items() if (file := getattr(module, "__file__", None))}
        told = {
            "functions": sorted(function.name for function in worker.functions),
            "status": answer.status,
            "headers": answer.headers,
            "body": answer.body.decode("latin-1"),
            "modules": modules,
        }
        print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), sys.argv[2]))
