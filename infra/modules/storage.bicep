metadata description = 'The storage account: tables, queues with their poison queues, the container of the code and the one of dead events. No shared keys.'

@minLength(3)
@maxLength(24)
param name string
param location string
param tags object

@description('The SKU, such as Standard_ZRS.')
param redundancy string

@description('Whether only private endpoints are answered, and what letsEventsIn lets in.')
param isPrivate bool

@description('Whether Event Grid reaches a private account, as a service that Azure trusts.')
param letsEventsIn bool

@description('Whether the account is locked against deletion.')
param lockResources bool

@description('Whether each request is logged.')
param logRequests bool

@description('Where logs go.')
param workspaceId string

@description('The principal of the app.')
param appPrincipalId string

// The app would make tables and queues that are missing. They are here so that alerts and reviewers see them from the first
// day; tests/infra holds both lists against the code.
var tables = [
  'batches'
  'batchindex'
  'providers'
  'optouts'
  'inbound'
  'inboundseen'
  'vendorids'
  'idempotency'
  'setaside'
  'erasures'
  'upkeep'
  'readiness'
]
var eventsQueue = 'sms-vendor-events'
var queues = [
  'sms-dispatch'
  eventsQueue
]
// Nothing is triggered by this one, so nothing is poisoned.
var probeQueue = 'sms-readiness'
var poisonQueues = [for queueName in queues: '${queueName}-poison']
// Trusted services get in where networks are selected, and none is here; Disabled is not documented to let them in:
// https://learn.microsoft.com/azure/storage/common/storage-network-security.
var publicAccess = isPrivate && !letsEventsIn ? 'Disabled' : 'Enabled'
var packageContainer = 'app-package'
var deadEventsContainer = 'dead-events'
var deadEventsDays = 90

var storageBlobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var storageQueueDataContributor = '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
var storageTableDataContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'

// The Functions host keeps leases, keys and the code in blobs and needs the owner role there:
// https://learn.microsoft.com/azure/azure-functions/functions-reference#connecting-to-host-storage-with-an-identity
var appRoles = [
  storageBlobDataOwner
  storageQueueDataContributor
  storageTableDataContributor
]

resource account 'Microsoft.Storage/storageAccounts@2025-08-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: redundancy
  }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: publicAccess
    networkAcls: {
      // Without a network of its own the app has no fixed address that a firewall could know; identity guards the data.
      defaultAction: isPrivate ? 'Deny' : 'Allow'
      // Event Grid delivers and dead-letters as a trusted service.
      bypass: 'AzureServices'
    }
  }
}

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2025-08-01' = {
  parent: account
  name: 'default'
}

resource table 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-08-01' = [for tableName in tables: {
  parent: tableService
  name: tableName
}]

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2025-08-01' = {
  parent: account
  name: 'default'
}

resource queue 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-08-01' = [for queueName in concat(queues, poisonQueues, [probeQueue]): {
  parent: queueService
  name: queueName
}]

resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2025-08-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 14
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 14
    }
  }
}

resource packages 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-08-01' = {
  parent: blobService
  name: packageContainer
}

resource deadEvents 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-08-01' = {
  parent: blobService
  name: deadEventsContainer
}

// Dead events hold numbers and texts of people; who has not looked within this time will not look any more.
resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-08-01' = {
  parent: account
  name: 'default'
  dependsOn: [
    deadEvents
  ]
  properties: {
    policy: {
      rules: [
        {
          name: 'forget-dead-events'
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: ['blockBlob']
              prefixMatch: ['${deadEventsContainer}/']
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: deadEventsDays
                }
              }
            }
          }
        }
      ]
    }
  }
}

resource appAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in appRoles: {
  name: guid(account.id, appPrincipalId, role)
  scope: account
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
  }
}]

resource tableLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (logRequests) {
  name: 'requests'
  scope: tableService
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

resource queueLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (logRequests) {
  name: 'requests'
  scope: queueService
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

resource blobLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (logRequests) {
  name: 'requests'
  scope: blobService
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

resource lock 'Microsoft.Authorization/locks@2020-05-01' = if (lockResources) {
  name: 'holds-messages'
  scope: account
  properties: {
    level: 'CanNotDelete'
    notes: 'Messages, opt-outs and providers are here and nowhere else.'
  }
}

output id string = account.id
output name string = account.name
output eventsQueue string = eventsQueue
output deadEventsContainer string = deadEventsContainer
output packageContainer string = packageContainer

@description('The addresses of blobs, queues and tables.')
output endpoints object = {
  blob: account.properties.primaryEndpoints.blob
  queue: account.properties.primaryEndpoints.queue
  table: account.properties.primaryEndpoints.table
}
