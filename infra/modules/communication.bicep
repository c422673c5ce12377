metadata description = 'Azure Communication Services, new or existing, with the system topic that Event Grid has of it. It runs in the resource group of the communication resource.'

@description('Whether the resource is made here; else it must exist.')
param isNew bool
param name string

@description('Where a new resource keeps its data.')
param dataLocation string
param tags object
param topicName string

@description('Whether the system topic is made here; else it must exist.')
param isNewTopic bool

@description('The user-assigned identity that Event Grid delivers with; empty: the identity of the topic itself.')
param identityId string

@description('Whether a new resource is locked against deletion.')
param lockResources bool

@description('Where logs go.')
param workspaceId string

@description('The principal of the app, which may send.')
param appPrincipalId string

// The only built-in role that lets an identity send text messages:
// https://learn.microsoft.com/azure/communication-services/concepts/authentication
var communicationAndEmailServiceOwner = '09976791-48a7-449e-bb21-39d1a415f350'

var ownIdentity = {
  type: 'SystemAssigned'
}
var givenIdentity = {
  type: 'UserAssigned'
  userAssignedIdentities: {
    '${identityId}': {}
  }
}
var identity = empty(identityId) ? ownIdentity : givenIdentity

resource created 'Microsoft.Communication/communicationServices@2025-09-01' = if (isNew) {
  name: name
  location: 'global'
  tags: tags
  properties: {
    dataLocation: dataLocation
    disableLocalAuth: true
  }
}

resource communication 'Microsoft.Communication/communicationServices@2025-09-01' existing = {
  name: name
}

resource send 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(communication.id, appPrincipalId, communicationAndEmailServiceOwner)
  scope: communication
  dependsOn: [
    created
  ]
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', communicationAndEmailServiceOwner)
  }
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = if (isNewTopic) {
  name: topicName
  location: 'global'
  tags: tags
  dependsOn: [
    created
  ]
  identity: identity
  properties: {
    source: communication.id
    topicType: 'Microsoft.Communication.CommunicationServices'
  }
}

resource known 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
}

resource topicLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (isNewTopic) {
  name: 'failures'
  scope: topic
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'DeliveryFailures'
        enabled: true
      }
    ]
  }
}

resource sendLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (isNew) {
  name: 'sms'
  scope: created
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'SMSOperational'
        enabled: true
      }
    ]
  }
}

resource lock 'Microsoft.Authorization/locks@2020-05-01' = if (isNew && lockResources) {
  name: 'holds-numbers'
  scope: created
  properties: {
    level: 'CanNotDelete'
    notes: 'Its phone numbers are gone with it.'
  }
}

output topicId string = known.id

@description('The principal that Event Grid delivers as, where it is the topic itself; else empty.')
output topicPrincipalId string = empty(identityId) ? known.identity.principalId : ''
output endpoint string = 'https://${communication.properties.hostName}'
