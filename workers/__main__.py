"""`python -m workers -n 4`: a pool of workers on this host."""

from __future__ import annotations

import argparse
import logging
import socket
import sys

from tasks import settings as settings_of
from tasks.errors import IngestboardError
from tasks.ledger import origin


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m workers", description="A pool of ingestion workers.")
    parser.add_argument("-n", type=int, help="workers in the pool (default: INGESTBOARD_WORKERS, one a core)")
    arguments = parser.parse_args()
    try:
        settings = settings_of.current()
        size = arguments.n if arguments.n is not None else settings.workers
        if not 1 <= size <= 512:
            parser.error("-n takes a number from 1 to 512")
        logging.basicConfig(
            level=settings.log_level, format="%(asctime)s %(levelname)s %(process)d %(message)s", force=True
        )
        origin.of_process(f"worker {socket.gethostname()}")
        from workers.pool import Pool  # the heavy imports, after the settings are known to be good

        return Pool(settings, size).run()
    except IngestboardError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
