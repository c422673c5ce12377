metadata description = 'What Event Grid may do in the storage account: put events into one queue, and dead ones into one container.'

@description('The name of the storage account.')
param storageName string
param queue string
param container string

@description('The principal that Event Grid delivers as.')
param principalId string

var storageQueueDataMessageSender = 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
#disable-next-line role-id
var storageBlobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'

resource deliveries 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-08-01' existing = {
  name: '${storageName}/default/${queue}'
}

resource deadEvents 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-08-01' existing = {
  name: '${storageName}/default/${container}'
}

resource send 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(deliveries.id, principalId, storageQueueDataMessageSender)
  scope: deliveries
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageQueueDataMessageSender)
  }
}

resource bury 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(deadEvents.id, principalId, storageBlobDataContributor)
  scope: deadEvents
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataContributor)
  }
}
