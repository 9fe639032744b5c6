"""A process that starts the worker library with the app in the folder given, answers once and says so."""

import asyncio
import logging
import os
import sys
from pathlib import Path

from dev.worker import Worker


async def _main(app_folder: Path) -> None:
    async with Worker(app_folder) as worker:
        headers = {"Host": "mta-sts.d0.example", "User-Agent": "postfix-tlspol/1.8"}
        answer = await worker.invoke_http("policy", url="https://mta-sts.d0.example/", headers=headers)
        print(f"answered {answer.status}", flush=True)


if __name__ == "__main__":
    with Path(os.devnull).open("w") as nowhere:
        logging.basicConfig(level=logging.INFO, stream=nowhere)
        asyncio.run(_main(Path(sys.argv[1])))
