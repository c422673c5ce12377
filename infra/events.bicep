metadata description = 'The subscriptions to the events of Azure Communication Services. They come after the code, since Azure checks that the function is there. Deploy into the resource group of the system topic; python3 dev.py postdeploy does it.'

targetScope = 'resourceGroup'

@description('The name of the system topic.')
param topicName string

@description('The resource id of the function app.')
param appId string

@description('The resource id of the storage account.')
param storageId string

@description('The user-assigned identity of the topic that Event Grid reaches the storage account with; empty: the identity of the topic itself.')
param identityId string = ''

@description('function: Event Grid calls the functions. queue: it puts the events into a storage queue, which a function reads; that survives an outage of the app for longer than a day, and adds up to two seconds.')
@allowed(['function', 'queue'])
param delivery string = 'function'

var queueName = 'sms-vendor-events'
var deadEventsContainer = 'dead-events'
var subscriptions = [
  {
    name: 'sms-delivery-reports'
    function: 'sms_delivery_report_received'
    event: 'Microsoft.Communication.SMSDeliveryReportReceived'
  }
  {
    name: 'sms-received'
    function: 'sms_received'
    event: 'Microsoft.Communication.SMSReceived'
  }
]
// The most that Event Grid does: it tries for a day and then writes the event into the container.
var retryPolicy = {
  maxDeliveryAttempts: 30
  eventTimeToLiveInMinutes: 1440
}
var ownIdentity = {
  type: 'SystemAssigned'
}
var givenIdentity = {
  type: 'UserAssigned'
  userAssignedIdentity: identityId
}
var identity = empty(identityId) ? ownIdentity : givenIdentity
var deadLetters = {
  identity: identity
  deadLetterDestination: {
    endpointType: 'StorageBlob'
    properties: {
      resourceId: storageId
      blobContainerName: deadEventsContainer
    }
  }
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
}

resource toFunction 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = [for one in subscriptions: if (delivery == 'function') {
  parent: topic
  name: one.name
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    filter: {
      includedEventTypes: [one.event]
    }
    destination: {
      endpointType: 'AzureFunction'
      properties: {
        resourceId: '${appId}/functions/${one.function}'
        // Reports that come together share a write.
        maxEventsPerBatch: 100
        preferredBatchSizeInKilobytes: 64
      }
    }
    retryPolicy: retryPolicy
    deadLetterWithResourceIdentity: deadLetters
  }
}]

resource toQueue 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = [for one in subscriptions: if (delivery == 'queue') {
  parent: topic
  name: one.name
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    filter: {
      includedEventTypes: [one.event]
    }
    deliveryWithResourceIdentity: {
      identity: identity
      destination: {
        endpointType: 'StorageQueue'
        properties: {
          resourceId: storageId
          queueName: queueName
          // A report waits for as long as the app is away.
          queueMessageTimeToLiveInSeconds: -1
        }
      }
    }
    retryPolicy: retryPolicy
    deadLetterWithResourceIdentity: deadLetters
  }
}]
