// The zone that customers delegate to, and who may write in it: the app publishes the ids there by itself.

@description('Name of the zone, such as sts.provider.example. Its parent delegates to the name servers that come out.')
param zoneName string

param appName string

@description('The app, by the object id of its identity.')
param appPrincipalId string

@description('Object id of the group of those who look after the policies. Empty: nobody gets a role.')
param operatorsGroupId string

var zoneContributor = 'befefa01-2a29-4197-83a8-272ff33ce314' // DNS Zone Contributor

resource zone 'Microsoft.Network/dnsZones@2018-05-01' = {
  name: zoneName
  location: 'global'
  properties: {
    zoneType: 'Public'
  }
}

// Sets of TXT records and nothing else; nor may it delete them.
resource idsRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, appName, 'ids')
  properties: {
    roleName: 'MTA-STS ids: read and write TXT records (${appName}, ${uniqueString(resourceGroup().id)})'
    description: 'Reads and writes TXT record sets of a DNS zone; deletes none, and writes no others.'
    type: 'CustomRole'
    permissions: [
      {
        actions: [
          'Microsoft.Network/dnsZones/TXT/read'
          'Microsoft.Network/dnsZones/TXT/write'
        ]
      }
    ]
    assignableScopes: [
      resourceGroup().id
    ]
  }
}

resource appPublishesIds 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(zone.id, appPrincipalId, idsRole.id)
  scope: zone
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: idsRole.id
  }
}

resource operatorsKeepZone 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorsGroupId)) {
  name: guid(zone.id, operatorsGroupId, zoneContributor)
  scope: zone
  properties: {
    principalId: operatorsGroupId
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', zoneContributor)
  }
}

output nameServers array = zone.properties.nameServers
