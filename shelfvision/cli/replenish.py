"""``shelfvision replenish``: the replenishment service with its web page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def replenish(
    site: Annotated[Path, typer.Argument(metavar="SITE.yaml", help="The store's site file.")],
    db: Annotated[
        str, typer.Option(help="database: path of an SQLite file, or postgresql://user:password@host/name")
    ] = "var/replenish.sqlite",
    host: Annotated[
        str, typer.Option(help="address to listen on; others than this machine need web.users and TLS in the site file")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="port of the web page; 0 takes a free one")] = 8080,
    web: Annotated[bool, typer.Option("--web/--no-web", help="serve the web page and API")] = True,
) -> None:
    """Turn the events of a store into ranked restock tasks, over MQTT and on a web page."""
    from shelfvision.service.replenish_process import ReplenishProcess
    from shelfvision.site_file import load_site

    ReplenishProcess(load_site(site), db=db, host=host, port=port if web else None).run()
