"""What each resource in infra/ may hold, out of the Python types that Microsoft generates from the API specifications.

These come in three forms, by the age of the package: TypedDicts with the names of the API, models whose fields carry
them, and models with a map from attributes to paths in the JSON. `fields` reads all three into one.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any, get_type_hints

from typing_extensions import is_typeddict

from policy_store.settings import Settings

# The API version is the one that the types were generated from, so that nothing is checked against another's.
_PLACES = MappingProxyType(
    {
        "Microsoft.Authorization/locks@2020-05-01": ("azure.mgmt.resource.locks", "ManagementLockObject"),
        "Microsoft.Authorization/roleAssignments@2022-04-01": (
            "azure.mgmt.authorization.v2022_04_01",
            "RoleAssignment",
        ),
        "Microsoft.Authorization/roleDefinitions@2022-04-01": (
            "azure.mgmt.authorization.v2022_04_01",
            "RoleDefinition",
        ),
        "Microsoft.Insights/actionGroups@2023-01-01": ("azure.mgmt.monitor", "ActionGroupResource"),
        "Microsoft.Insights/components@2020-02-02": (
            "azure.mgmt.applicationinsights.v2020_02_02",
            "ApplicationInsightsComponent",
        ),
        "Microsoft.Insights/metricAlerts@2018-03-01": ("azure.mgmt.monitor", "MetricAlertResource"),
        "Microsoft.Insights/scheduledQueryRules@2023-12-01": ("azure.mgmt.monitor", "ScheduledQueryRuleResource"),
        "Microsoft.Insights/webtests@2022-06-15": ("azure.mgmt.applicationinsights.v2022_06_15", "WebTest"),
        "Microsoft.Network/dnsZones@2018-05-01": ("azure.mgmt.dns", "Zone"),
        "Microsoft.OperationalInsights/workspaces@2025-07-01": ("azure.mgmt.loganalytics", "Workspace"),
        "Microsoft.Storage/storageAccounts@2026-09-01": ("azure.mgmt.storage", "StorageAccountCreateParameters"),
        "Microsoft.Storage/storageAccounts/blobServices@2026-09-01": ("azure.mgmt.storage", "BlobServiceProperties"),
        "Microsoft.Storage/storageAccounts/blobServices/containers@2026-09-01": (
            "azure.mgmt.storage",
            "BlobContainer",
        ),
        "Microsoft.Storage/storageAccounts/tableServices@2026-09-01": ("azure.mgmt.storage", "TableServiceProperties"),
        "Microsoft.Storage/storageAccounts/tableServices/tables@2026-09-01": ("azure.mgmt.storage", "Table"),
        "Microsoft.Web/serverfarms@2025-05-01": ("azure.mgmt.web", "AppServicePlan"),
        "Microsoft.Web/sites@2025-05-01": ("azure.mgmt.web", "Site"),
        "Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-05-01": (
            "azure.mgmt.web",
            "CsmPublishingCredentialsPoliciesEntity",
        ),
    }
)

# Values that the types leave open and the documentation lists, by what the check calls the property: only those that
# this app can use. learn.microsoft.com/azure: azure-functions/functions-app-settings and
# functions-infrastructure-as-code, templates/microsoft.web and microsoft.insights, role-based-access-control.
LISTED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "FunctionsAlwaysReadyConfig.name": ("http", "blob", "durable"),
        "FunctionsRuntime.version": ("3.13", "3.14"),
        "Microsoft.Authorization/roleDefinitions.properties.type": ("CustomRole",),
        "Microsoft.Insights/actionGroups.location": ("global",),
        "Microsoft.Insights/components.kind": ("web",),
        "Microsoft.Insights/metricAlerts.location": ("global",),
        "Microsoft.Network/dnsZones.location": ("global",),
        "Microsoft.Web/serverfarms.kind": ("functionapp", "linux"),
        "Microsoft.Web/sites.kind": ("functionapp,linux",),
        "NameValuePair.name": (
            *(str(field.alias) for field in Settings.model_fields.values()),
            "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
            "APPLICATIONINSIGHTS_CONNECTION_STRING",
            "AzureWebJobsDisableHomepage",
            "AzureWebJobsStorage__accountName",
            "BUILD_FLAGS",
            "ENABLE_ORYX_BUILD",
            "FUNCTIONS_EXTENSION_VERSION",
            "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT",
            "FUNCTIONS_WORKER_RUNTIME",
            "SCM_DO_BUILD_DURING_DEPLOYMENT",
            "XDG_CACHE_HOME",
        ),
        "SiteConfig.linuxFxVersion": ("Python|3.13", "Python|3.14"),
        "SkuDescription.name": ("B1", "FC1"),
        "SkuDescription.tier": ("Basic", "FlexConsumption"),
        "WebTestPropertiesRequest.HttpVerb": ("GET", "HEAD"),
    }
)
_WITH_TYPES = ("azure.mgmt.storage", "azure.mgmt.web")


def resource_class(resource: str) -> type | None:
    """The class for a resource as Bicep names it, `Microsoft.Web/sites@2025-05-01`; None for one that is not known."""
    if resource not in _PLACES:
        return None
    package, name = _PLACES[resource]
    module = "types" if package in _WITH_TYPES else "models"
    found: type = getattr(import_module(f"{package}.{module}"), name)
    return found


@cache
def fields(cls: type) -> dict[str, Any]:
    """What an object of `cls` may hold: for each name in the JSON its type, or again such a mapping."""
    if is_typeddict(cls):
        names = vars(import_module(f"{cls.__module__.rpartition('.')[0]}.models"))
        return get_type_hints(cls, localns={**names, **vars(import_module(cls.__module__))})
    if hasattr(cls, "_attribute_map"):
        return _mapped(cls)
    models = import_module(cls.__module__.rpartition(".")[0])
    hints = get_type_hints(cls, localns={"_models": models})
    return {
        field._rest_name_input or attribute: hints[attribute]
        for parent in reversed(cls.__mro__)
        for attribute, field in vars(parent).items()
        if hasattr(field, "_rest_name_input")
    }


def subclasses(cls: type) -> tuple[str, Mapping[str, type]] | None:
    """The name of the property that tells what kind of `cls` an object is, and the kinds; None where there are none."""
    for attribute, kinds in getattr(cls, "_subtype_map", {}).items():
        module = import_module(cls.__module__.rpartition(".")[0])
        key = getattr(cls, "_attribute_map")[attribute]["key"]  # noqa: B009
        return key.replace("\\.", "."), {value: getattr(module, name) for value, name in kinds.items()}
    return None


def _mapped(cls: type) -> dict[str, Any]:
    """The fields of a class that maps its attributes to paths such as `properties.principalId`."""
    models = import_module(cls.__module__.rpartition(".")[0])
    hints: dict[str, Any] = {}
    for parent in reversed(cls.__mro__):
        if parent is not object and "__init__" in vars(parent):
            hints.update(get_type_hints(vars(parent)["__init__"], localns={"_models": models, "JSON": Any}))
    found: dict[str, Any] = {}
    for attribute, key in _keys(cls):
        *folders, name = key
        inner = found
        for folder in folders:
            inner = inner.setdefault(folder, {})
        # What is no argument of the constructor only the service may set, but for what tells the kind of an object.
        if attribute in hints:
            inner[name] = hints[attribute]
        elif attribute == "odata_type":
            inner[name] = str
    return found


def _keys(cls: type) -> Iterator[tuple[str, list[str]]]:
    for attribute, place in getattr(cls, "_attribute_map").items():  # noqa: B009
        if place["key"]:
            yield attribute, [part.replace("\0", ".") for part in place["key"].replace("\\.", "\0").split(".")]
