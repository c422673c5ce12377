metadata description = 'A network for the app, with private endpoints and names for storage and vault.'

@description('End of the resource names.')
param name string
param location string
param tags object

@description('The address range of the network.')
param address string

@description('The part of it that instances of the app take their addresses from.')
param appAddress string

@description('The part of it for private endpoints.')
param endpointAddress string
param storageId string
param vaultId string

var endpoints = [
  {
    name: 'blob'
    resourceId: storageId
    zone: 'privatelink.blob.${environment().suffixes.storage}'
  }
  {
    name: 'queue'
    resourceId: storageId
    zone: 'privatelink.queue.${environment().suffixes.storage}'
  }
  {
    name: 'table'
    resourceId: storageId
    zone: 'privatelink.table.${environment().suffixes.storage}'
  }
  {
    name: 'vault'
    resourceId: vaultId
    zone: 'privatelink.vaultcore.azure.net'
  }
]

// Nobody reaches into either subnet but the network itself; going out is not limited, since vendors are on the internet.
resource security 'Microsoft.Network/networkSecurityGroups@2025-07-01' = {
  name: 'nsg-${name}'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'no-one-from-outside'
        properties: {
          priority: 4000
          direction: 'Inbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: 'Internet'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2025-07-01' = {
  name: 'vnet-${name}'
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [address]
    }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: appAddress
          networkSecurityGroup: {
            id: security.id
          }
          // What Flex Consumption asks for; the subnet is the app's alone.
          delegations: [
            {
              name: 'flex'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: endpointAddress
          networkSecurityGroup: {
            id: security.id
          }
          privateEndpointNetworkPolicies: 'NetworkSecurityGroupEnabled'
        }
      }
    ]
  }
}

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = [for one in endpoints: {
  name: one.zone
  location: 'global'
  tags: tags
}]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [for (one, index) in endpoints: {
  parent: zone[index]
  name: 'vnet-${name}'
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network.id
    }
  }
}]

resource endpoint 'Microsoft.Network/privateEndpoints@2025-07-01' = [for one in endpoints: {
  name: 'pe-${one.name}-${name}'
  location: location
  tags: tags
  properties: {
    subnet: {
      id: '${network.id}/subnets/endpoints'
    }
    privateLinkServiceConnections: [
      {
        name: one.name
        properties: {
          privateLinkServiceId: one.resourceId
          groupIds: [one.name]
        }
      }
    ]
  }
}]

resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-07-01' = [for (one, index) in endpoints: {
  parent: endpoint[index]
  name: 'default'
  dependsOn: [
    link
  ]
  properties: {
    privateDnsZoneConfigs: [
      {
        name: one.name
        properties: {
          privateDnsZoneId: zone[index].id
        }
      }
    ]
  }
}]

@description('Known once all names are, so that the app starts after them.')
output appSubnetId string = '${network.id}/subnets/app'
