// The app, its tables and whoever may read or write them: az deployment group create -g GROUP -f infra/main.bicep

@description('Name of the app, which is also in its default host name. Letters, digits and hyphens.')
@minLength(2)
@maxLength(40)
param appName string

@description('Region of everything but the alerts.')
param location string = resourceGroup().location

@description('dedicated: an App Service plan B1, always on, with free certificates. flex: Flex Consumption with one instance always ready; its certificates are a preview.')
@allowed([
  'dedicated'
  'flex'
])
param plan string = 'dedicated'

@description('Object id of the Entra group whose members look after the policies. Empty: nobody gets a role.')
param operatorsGroupId string = ''

@description('Address that alerts are sent to. Empty: the alerts are shown in the portal only.')
param alertEmail string = ''

@description('One domain that is served: a web test fetches its policy from five places. Empty: no web test.')
param testedDomain string = ''

@description('Where a proxy in front changes Host: the header that names the host the sender asked for, such as X-Forwarded-Host.')
param hostHeader string = ''

@description('The output store of another app, whose tables this app is to serve in place of its own. Its identity gets no role there.')
param sharedStore string = ''

@description('Whether the app takes TLS reports at /v1/tlsrpt, and a table of them is made: see docs/reports.md.')
param tlsReports bool = false

@description('Name of a DNS zone to make, such as sts.provider.example, in which the app publishes the ids by itself. Empty: no zone, and nothing is published.')
param dnsZone string = ''

@description('The TXT record for TLS reports that customers of the zone share, such as v=TLSRPTv1; rua=mailto:tls@provider.example; Empty: none.')
param reportsRecord string = ''

var onFlex = plan == 'flex'
var packageContainer = 'app-package'

// Roles that Azure has, by their ids: learn.microsoft.com/azure/role-based-access-control/built-in-roles
var blobOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' // Storage Blob Data Owner
var tableReader = '76199698-9eea-4c19-bc75-cec21354c6b6' // Storage Table Data Reader
var tableContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3' // Storage Table Data Contributor
var metricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb' // Monitoring Metrics Publisher

// Storage: the tables, and what the Functions host keeps for itself.

resource storage 'Microsoft.Storage/storageAccounts@2026-09-01' = {
  name: 'sts${uniqueString(resourceGroup().id, appName)}'
  location: location
  kind: 'StorageV2'
  sku: {
    // Three zones of a region. Where a region has none: Standard_GRS.
    name: 'Standard_ZRS'
  }
  properties: {
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }
}

// It keeps the role assignments below it too: to take one away, take the lock away first.
resource storageLock 'Microsoft.Authorization/locks@2020-05-01' = {
  name: 'keep'
  scope: storage
  properties: {
    level: 'CanNotDelete'
    notes: 'The policies and all that senders were ever given: tables have no soft delete.'
  }
}

resource tables 'Microsoft.Storage/storageAccounts/tableServices@2026-09-01' = {
  parent: storage
  name: 'default'
}

resource policies 'Microsoft.Storage/storageAccounts/tableServices/tables@2026-09-01' = {
  parent: tables
  name: 'policies'
}

resource history 'Microsoft.Storage/storageAccounts/tableServices/tables@2026-09-01' = {
  parent: tables
  name: 'policyhistory'
}

// Where this table is, 'mta-sts promote' wants the reports heard first.
resource reports 'Microsoft.Storage/storageAccounts/tableServices/tables@2026-09-01' = if (tlsReports) {
  parent: tables
  name: 'tlsreports'
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2026-09-01' = {
  parent: storage
  name: 'default'
}

resource package 'Microsoft.Storage/storageAccounts/blobServices/containers@2026-09-01' = if (onFlex) {
  parent: blobs
  name: packageContainer
  properties: {
    publicAccess: 'None'
  }
}

// What is logged and measured.

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' = {
  name: '${appName}-logs'
  location: location
  properties: {
    retentionInDays: 90
    sku: {
      name: 'PerGB2018'
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: '${appName}-insights'
  location: location
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
  }
}

// The app.

resource hosting 'Microsoft.Web/serverfarms@2025-05-01' = {
  name: '${appName}-plan'
  location: location
  kind: onFlex ? 'functionapp' : 'linux'
  sku: {
    name: onFlex ? 'FC1' : 'B1'
    tier: onFlex ? 'FlexConsumption' : 'Basic'
  }
  properties: {
    reserved: true
  }
}

var store = empty(sharedStore) ? 'https://${storage.name}.table.${environment().suffixes.storage}' : sharedStore

var hostHeaderSetting = empty(hostHeader) ? [] : [
  {
    name: 'POLICY_HOST_HEADER'
    value: hostHeader
  }
]

// The host refuses larger bodies before the worker sees them; only reports have one.
var reportSettings = tlsReports ? [
  {
    name: 'POLICY_TLSRPT'
    value: 'on'
  }
  {
    name: 'FUNCTIONS_REQUEST_BODY_SIZE_LIMIT'
    value: '1048576'
  }
] : []

var zoneSettings = empty(dnsZone) ? [] : [
  {
    name: 'POLICY_DNS_ZONE'
    value: resourceId('Microsoft.Network/dnsZones', dnsZone)
  }
  {
    name: 'POLICY_REPORTS_RECORD'
    value: reportsRecord
  }
]

var settings = concat(hostHeaderSetting, reportSettings, zoneSettings, [
  {
    name: 'POLICY_STORE__tableServiceUri'
    value: store
  }
  {
    name: 'AzureWebJobsStorage__accountName'
    value: storage.name
  }
  {
    name: 'APPLICATIONINSIGHTS_CONNECTION_STRING'
    value: insights.properties.ConnectionString
  }
  {
    name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING'
    value: 'Authorization=AAD'
  }
  {
    name: 'AzureWebJobsDisableHomepage'
    value: 'true'
  }
])

// Flex Consumption takes these from functionAppConfig and refuses them as settings. The last four are what
// func azure functionapp publish sets for its build: without them here each deployment would take them away.
var dedicatedSettings = [
  {
    name: 'FUNCTIONS_EXTENSION_VERSION'
    value: '~4'
  }
  {
    name: 'FUNCTIONS_WORKER_RUNTIME'
    value: 'python'
  }
  {
    name: 'ENABLE_ORYX_BUILD'
    value: 'true'
  }
  {
    name: 'SCM_DO_BUILD_DURING_DEPLOYMENT'
    value: '1'
  }
  {
    name: 'BUILD_FLAGS'
    value: 'UseExpressBuild'
  }
  {
    name: 'XDG_CACHE_HOME'
    value: '/tmp/.cache'
  }
]

var siteConfig = {
  appSettings: settings
  // Not 1.3: some sending servers stop at 1.2.
  minTlsVersion: '1.2'
  scmMinTlsVersion: '1.2'
  ftpsState: 'Disabled'
  http20Enabled: true
}

var dedicatedSiteConfig = {
  alwaysOn: true
  appSettings: concat(settings, dedicatedSettings)
  healthCheckPath: '/health'
  linuxFxVersion: 'Python|3.13'
}

var flexConfig = {
  deployment: {
    storage: {
      type: 'blobContainer'
      value: 'https://${storage.name}.blob.${environment().suffixes.storage}/${packageContainer}'
      authentication: {
        type: 'SystemAssignedIdentity'
      }
    }
  }
  runtime: {
    name: 'python'
    version: '3.13'
  }
  scaleAndConcurrency: {
    alwaysReady: [
      {
        name: 'http'
        instanceCount: 1
      }
    ]
    instanceMemoryMB: 2048
    maximumInstanceCount: 40
    triggers: {
      http: {
        perInstanceConcurrency: 16
      }
    }
  }
}

resource app 'Microsoft.Web/sites@2025-05-01' = {
  name: appName
  location: location
  kind: 'functionapp,linux'
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    serverFarmId: hosting.id
    httpsOnly: true
    functionAppConfig: onFlex ? flexConfig : null
    siteConfig: onFlex ? siteConfig : union(siteConfig, dedicatedSiteConfig)
  }
  dependsOn: [
    package
  ]
}

resource ftp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-05-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource scm 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-05-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

// Who may do what. The app, which faces the Internet, cannot change a policy: it reads them, and of the history and the
// reports it reads and adds entities.

resource historyRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, appName, 'policyhistory')
  properties: {
    roleName: 'MTA-STS history: read and add (${appName}, ${uniqueString(resourceGroup().id)})'
    description: 'Reads entities of a table and adds new ones; changes and deletes none.'
    type: 'CustomRole'
    permissions: [
      {
        dataActions: [
          'Microsoft.Storage/storageAccounts/tableServices/tables/entities/read'
          'Microsoft.Storage/storageAccounts/tableServices/tables/entities/add/action'
        ]
      }
    ]
    assignableScopes: [
      resourceGroup().id
    ]
  }
}

resource appReadsPolicies 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(policies.id, app.id, tableReader)
  scope: policies
  properties: {
    principalId: app.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', tableReader)
  }
}

resource appKeepsHistory 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(history.id, app.id, historyRole.id)
  scope: history
  properties: {
    principalId: app.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: historyRole.id
  }
}

resource appKeepsReports 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (tlsReports) {
  name: guid(reports.id, app.id, historyRole.id)
  scope: reports
  properties: {
    principalId: app.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: historyRole.id
  }
}

// The host's own: locks of the timer, keys, and on Flex Consumption the package. Blobs only, no table.
resource hostKeepsBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(storage.id, app.id, blobOwner)
  scope: storage
  properties: {
    principalId: app.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobOwner)
  }
}

resource appSendsTelemetry 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, app.id, metricsPublisher)
  scope: insights
  properties: {
    principalId: app.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', metricsPublisher)
  }
}

resource operatorsEditPolicies 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorsGroupId)) {
  name: guid(policies.id, operatorsGroupId, tableContributor)
  scope: policies
  properties: {
    principalId: operatorsGroupId
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', tableContributor)
  }
}

resource operatorsKeepHistory 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorsGroupId)) {
  name: guid(history.id, operatorsGroupId, tableContributor)
  scope: history
  properties: {
    principalId: operatorsGroupId
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', tableContributor)
  }
}

resource operatorsKeepReports 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (tlsReports && !empty(operatorsGroupId)) {
  name: guid(reports.id, operatorsGroupId, tableContributor)
  scope: reports
  properties: {
    principalId: operatorsGroupId
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', tableContributor)
  }
}

module zone 'zone.bicep' = if (!empty(dnsZone)) {
  name: 'zone'
  params: {
    appName: appName
    appPrincipalId: app.identity.principalId
    operatorsGroupId: operatorsGroupId
    zoneName: dnsZone
  }
}

module alerts 'alerts.bicep' = {
  name: 'alerts'
  params: {
    alertEmail: alertEmail
    appName: appName
    insightsId: insights.id
    location: location
    testedDomain: testedDomain
  }
}

@description('The name to publish the code to.')
output functionApp string = app.name

@description('Where the CNAME records of mta-sts.<domain> point. Newer apps have a name that cannot be guessed.')
output appHost string = app.properties.defaultHostName

@description('The value of the TXT records asuid.mta-sts.<domain>.')
output domainVerificationId string = app.properties.customDomainVerificationId

@description('What the command takes as --store.')
output store string = store

@description('The name servers that the parent of the zone delegates it to (NS records). Empty without a zone.')
output nameServers array = empty(dnsZone) ? [] : zone.outputs.nameServers
