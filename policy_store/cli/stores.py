"""The command `stores`: the stores that the person's own file names, and where that file is."""

import os

from pydantic import BaseModel, ConfigDict, Field

from policy_store.cli.command import app
from policy_store.cli.config import NamedStore, StoresFile
from policy_store.cli.options import FormatOption, JsonOption
from policy_store.cli.screen import complain, print_json, print_rows, say, shape_of


class StoreItem(BaseModel):
    """A store in `stores`; a connection string is shown by its account."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="what `--store` takes")
    account: str = Field(description="the address, or the account of a connection string")
    app: str = Field(description="the function app's name, may be empty")
    app_host: str = Field(description="its default host name, may be empty")
    resource_group: str = Field(description="its resource group, may be empty")
    dns_zone: str = Field(description="the zone that ids are published in, may be empty")
    default: bool = Field(description="whether it is used if nothing else names a store")


@app.command("stores")
def stores(format_: FormatOption = None, json: JsonOption = False) -> None:
    """List the stores that your configuration file names, for --store NAME.

    Example: mta-sts stores
    """
    file = StoresFile.read(os.environ)
    items = [_item(name, store, default=name == file.default) for name, store in file.stores.items()]
    shape = shape_of(format_, json=json)
    if shape == "json":
        print_json(items)
        return
    if items:
        columns = ("store", "account", "app", "resource group", "")
        rows = ((i.name, i.account, i.app, i.resource_group, "default" if i.default else "") for i in items)
        print_rows(columns, rows, shape)
    if items and shape == "table":
        say("")
    count = {0: "No store is", 1: "1 store is"}.get(len(items), f"{len(items)} stores are")
    (say if shape == "table" else complain)(f"{count} named in {file.path}")


def _item(name: str, store: NamedStore, *, default: bool) -> StoreItem:
    return StoreItem(
        name=name,
        account=store.account,
        app=store.app,
        app_host=store.app_host,
        resource_group=store.resource_group,
        dns_zone=store.dns_zone,
        default=default,
    )
