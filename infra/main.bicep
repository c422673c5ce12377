metadata description = 'The SMS gateway: function app, storage, vault, identity, telemetry, alerts; events of Azure Communication Services if wanted. The subscriptions to those events are in events.bicep, which comes after the code.'

targetScope = 'resourceGroup'

@description('Short name of this environment. It is part of resource names, so two environments may share a resource group.')
@minLength(2)
@maxLength(12)
param environmentName string

@description('Region of everything that has one. Flex Consumption must be offered there: az functionapp list-flexconsumption-locations.')
param location string = resourceGroup().location

@description('Tags on every resource.')
param tags object = {}

@description('Python of the app. The package must have been built for the same one, so change both together: GATEWAY_PYTHON_VERSION for azd, --python for dev.py package.')
@allowed(['3.11', '3.12', '3.13'])
param pythonVersion string = '3.12'

@description('Memory of an instance in MB; 512, 2048 and 4096 come with a quarter, one and two cores.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('The most instances at once, for all functions together. Azure accepts no less than 40.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('HTTP requests that one instance takes at once. Azure would take 1 for Python; the functions wait for the network most of the time.')
@minValue(1)
@maxValue(1000)
param httpConcurrency int = 32

@description('Instances for HTTP that always run, so that callbacks of vendors, and the first message of a quiet hour, meet no cold start. 0 saves their price.')
@minValue(0)
@maxValue(20)
param alwaysReadyHttp int = 1

@description('Instances for sending that always run. 0: the first batch after a quiet time waits for a start of some seconds.')
@minValue(0)
@maxValue(20)
param alwaysReadyDispatch int = 0

@description('Spread the always ready instances over zones. Each alwaysReady count must then be 0 or at least 2, and the region must have zones.')
param zoneRedundant bool = false

@description('The address under which vendors reach the app, such as https://sms.contoso.com, without a path. Empty: the address that Azure gives the app.')
param publicUrl string = ''

@description('More app settings, by name, such as { SMS_REPORT_WINDOW_HOURS: \'96\' }. docs/settings.md has them all.')
param appSettings object = {}

@description('How storage is copied. ZRS survives the loss of a zone; where a region has no zones use Standard_LRS or Standard_GRS.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS', 'Standard_RAGRS', 'Standard_RAGZRS'])
param storageRedundancy string = 'Standard_ZRS'

@description('Log every request to tables, queues and blobs. A record a request: it can cost more than the requests.')
param logStorageRequests bool = false

@description('Days for which a deleted secret, or the whole vault, can be brought back and its name cannot be used again. Fixed once the vault exists.')
@minValue(7)
@maxValue(90)
param vaultRetentionDays int = 90

@description('Bring back the deleted vault of the same name instead of making one; for one deployment after everything was removed.')
param recoverVault bool = false

@description('Azure Communication Services: none, a new resource, or an existing one. New ones are refused by Azure to new customers since 23 October 2026.')
@allowed(['none', 'new', 'existing'])
param communication string = 'none'

@description('Where a new communication resource keeps its data. Fixed for its life.')
param communicationDataLocation string = 'United States'

@description('The resource id of an existing communication resource; it may lie in another resource group.')
param existingCommunicationId string = ''

@description('The name of the Event Grid system topic that an existing communication resource already has, in its own resource group; it needs an identity. A resource can have one topic only. Empty: it has none, make it.')
param existingTopicName string = ''

@description('The resource id of a user-assigned identity that the existing topic has, for Event Grid to deliver with. Empty: the identity of the topic itself.')
param existingTopicIdentityId string = ''

@description('Keep everything in a network of its own: storage and vault answer to private endpoints alone. The API stays public, since vendors call back.')
param privateNetwork bool = false

@description('Whether Event Grid delivers as a new topic itself, by its system-assigned identity, and not by an identity beside it. If not set, only behind the firewall of privateNetwork, which lets no other in.')
param topicOwnIdentity bool = privateNetwork

@description('Address range of that network.')
param networkAddress string = '10.64.0.0/24'

@description('The part of it that the app calls out from; /26 is enough for 40 instances, /24 for 200.')
param appSubnetAddress string = '10.64.0.0/26'

@description('The part of it for the private endpoints of storage and vault.')
param endpointSubnetAddress string = '10.64.0.64/27'

@description('Forbid deleting storage, vault and a new communication resource: with them go messages, opt-outs, credentials and phone numbers.')
param lockResources bool = true

@description('Days for which telemetry is kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('GB of telemetry a day after which Azure drops the rest; a guard against a surprise on the bill. -1: no limit.')
param logDailyCapGB int = 5

@description('Where alerts are mailed to. Empty: alerts are shown in the portal only.')
param alertEmail string = ''

@description('Age in minutes at which the oldest message that waits to be sent raises an alert.')
@minValue(1)
param oldestMessageMinutes int = 15

var suffix = uniqueString(resourceGroup().id, environmentName)
var hasCommunication = communication != 'none'
// /subscriptions/{2}/resourceGroups/{4}/providers/Microsoft.Communication/communicationServices/{8}
var communicationSubscription = communication == 'existing' ? split(existingCommunicationId, '/')[2] : subscription().subscriptionId
var communicationGroup = communication == 'existing' ? split(existingCommunicationId, '/')[4] : resourceGroup().name
var communicationName = communication == 'existing' ? split(existingCommunicationId, '/')[8] : 'acs-sms-${suffix}'
var topicName = empty(existingTopicName) ? 'evgt-sms-${suffix}' : existingTopicName

// Microsoft documents no system-assigned identity for topics of global resources, which this is one of
// (https://learn.microsoft.com/azure/event-grid/enable-identity-system-topics), and lets no other through a firewall
// (https://learn.microsoft.com/azure/event-grid/handler-storage-queues). So each is used where it is documented to work.
var hasEventsIdentity = hasCommunication && empty(existingTopicName) && !topicOwnIdentity
var topicIdentityId = hasEventsIdentity ? eventsIdentity.id : (hasCommunication ? existingTopicIdentityId : '')

@description('Who the app is to storage, vault, telemetry and Azure Communication Services.')
resource appIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-sms-app-${suffix}'
  location: location
  tags: tags
}

@description('Who Event Grid is to the storage account.')
resource eventsIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = if (hasEventsIdentity) {
  name: 'id-sms-events-${suffix}'
  location: location
  tags: tags
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring-${environmentName}'
  params: {
    name: 'sms-${suffix}'
    location: location
    tags: tags
    retentionDays: logRetentionDays
    dailyCapGB: logDailyCapGB
    appPrincipalId: appIdentity.properties.principalId
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage-${environmentName}'
  params: {
    name: 'stsms${suffix}'
    location: location
    tags: tags
    redundancy: storageRedundancy
    isPrivate: privateNetwork
    letsEventsIn: hasCommunication
    lockResources: lockResources
    logRequests: logStorageRequests
    workspaceId: monitoring.outputs.workspaceId
    appPrincipalId: appIdentity.properties.principalId
  }
}

module vault 'modules/vault.bicep' = {
  name: 'vault-${environmentName}'
  params: {
    name: 'kv-sms-${suffix}'
    location: location
    tags: tags
    retentionDays: vaultRetentionDays
    recover: recoverVault
    isPrivate: privateNetwork
    lockResources: lockResources
    workspaceId: monitoring.outputs.workspaceId
    appPrincipalId: appIdentity.properties.principalId
  }
}

module network 'modules/network.bicep' = if (privateNetwork) {
  name: 'network-${environmentName}'
  params: {
    name: 'sms-${suffix}'
    location: location
    tags: tags
    address: networkAddress
    appAddress: appSubnetAddress
    endpointAddress: endpointSubnetAddress
    storageId: storage.outputs.id
    vaultId: vault.outputs.id
  }
}

module app 'modules/app.bicep' = {
  name: 'app-${environmentName}'
  params: {
    name: 'func-sms-${environmentName}-${suffix}'
    location: location
    tags: tags
    pythonVersion: pythonVersion
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    httpConcurrency: httpConcurrency
    alwaysReadyHttp: alwaysReadyHttp
    alwaysReadyDispatch: alwaysReadyDispatch
    zoneRedundant: zoneRedundant
    identityId: appIdentity.id
    identityClientId: appIdentity.properties.clientId
    storageEndpoints: storage.outputs.endpoints
    packageContainer: storage.outputs.packageContainer
    vaultUrl: vault.outputs.url
    insightsConnectionString: monitoring.outputs.insightsConnectionString
    #disable-next-line BCP318
    subnetId: privateNetwork ? network.outputs.appSubnetId : ''
    publicUrl: publicUrl
    moreSettings: appSettings
  }
}

module events 'modules/communication.bicep' = if (hasCommunication) {
  name: 'communication-${environmentName}'
  scope: resourceGroup(communicationSubscription, communicationGroup)
  params: {
    isNew: communication == 'new'
    name: communicationName
    dataLocation: communicationDataLocation
    tags: tags
    topicName: topicName
    isNewTopic: empty(existingTopicName)
    identityId: topicIdentityId
    lockResources: lockResources
    workspaceId: monitoring.outputs.workspaceId
    appPrincipalId: appIdentity.properties.principalId
  }
}

module eventsAccess 'modules/events-access.bicep' = if (hasCommunication) {
  name: 'events-access-${environmentName}'
  params: {
    storageName: storage.outputs.name
    queue: storage.outputs.eventsQueue
    container: storage.outputs.deadEventsContainer
    #disable-next-line BCP318
    principalId: empty(topicIdentityId) ? events.outputs.topicPrincipalId : reference(topicIdentityId, '2024-11-30').principalId
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts-${environmentName}'
  params: {
    name: 'sms-${environmentName}'
    location: location
    tags: tags
    email: alertEmail
    oldestMessageMinutes: oldestMessageMinutes
    insightsId: monitoring.outputs.insightsId
    vaultId: vault.outputs.id
    storageId: storage.outputs.id
    #disable-next-line BCP318
    topicId: hasCommunication ? events.outputs.topicId : ''
  }
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook-${environmentName}'
  params: {
    title: 'SMS gateway (${environmentName})'
    location: location
    tags: tags
    insightsId: monitoring.outputs.insightsId
  }
}

// azd keeps outputs under these names in the environment of its hooks; infra/postdeploy.py reads them by the same names.

@description('The address of the app.')
output GATEWAY_URL string = app.outputs.url

@description('Vendors call back below this address; GET /api/providers/{id}/callbacks prints each one whole.')
output GATEWAY_CALLBACK_BASE_URL string = '${app.outputs.publicUrl}/api/callbacks'

@description('The command that prints the keys of the API; default is for operators, send_messages has its own for senders.')
output GATEWAY_KEYS_COMMAND string = 'az functionapp keys list --subscription ${subscription().subscriptionId} --resource-group ${resourceGroup().name} --name ${app.outputs.name}'

@description('The resource group of the app.')
output GATEWAY_RESOURCE_GROUP string = resourceGroup().name

@description('The name of the function app.')
output GATEWAY_APP_NAME string = app.outputs.name

@description('The resource id of the function app.')
output GATEWAY_APP_ID string = app.outputs.id

@description('The resource id of the storage account.')
output GATEWAY_STORAGE_ID string = storage.outputs.id

@description('The resource id of the Event Grid system topic; empty without Azure Communication Services.')
#disable-next-line BCP318
output GATEWAY_TOPIC_ID string = hasCommunication ? events.outputs.topicId : ''

@description('The user-assigned identity that Event Grid delivers with; empty: the identity of the topic itself.')
output GATEWAY_TOPIC_IDENTITY_ID string = topicIdentityId

@description('The address of Azure Communication Services, for the setting endpoint of an acs provider; empty without it.')
#disable-next-line BCP318
output GATEWAY_COMMUNICATION_ENDPOINT string = hasCommunication ? events.outputs.endpoint : ''
