metadata description = 'The vault with the credentials of providers. Access by role, deletion takes its time.'

@minLength(3)
@maxLength(24)
param name string
param location string
param tags object

@description('Days for which what was deleted can be brought back.')
param retentionDays int

@description('Whether a deleted vault of this name is brought back.')
param recover bool

@description('Whether only private endpoints are answered.')
param isPrivate bool

@description('Whether the vault is locked against deletion.')
param lockResources bool

@description('Where the audit log goes.')
param workspaceId string

@description('The principal of the app.')
param appPrincipalId string

// Operators set and replace credentials through the API, so reading them is not enough.
var keyVaultSecretsOfficer = 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'

var publicAccess = isPrivate ? 'Disabled' : 'Enabled'

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    createMode: recover ? 'recover' : 'default'
    tenantId: subscription().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    enablePurgeProtection: true
    softDeleteRetentionInDays: retentionDays
    publicNetworkAccess: publicAccess
    networkAcls: {
      defaultAction: isPrivate ? 'Deny' : 'Allow'
      bypass: 'AzureServices'
    }
  }
}

resource appAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, appPrincipalId, keyVaultSecretsOfficer)
  scope: vault
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultSecretsOfficer)
  }
}

resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'audit'
  scope: vault
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
  }
}

resource lock 'Microsoft.Authorization/locks@2020-05-01' = if (lockResources) {
  name: 'holds-credentials'
  scope: vault
  properties: {
    level: 'CanNotDelete'
    notes: 'The credentials of all providers are here and nowhere else.'
  }
}

output id string = vault.id
output url string = vault.properties.vaultUri
