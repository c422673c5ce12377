using './main.bicep'

// As cheap as it gets: nothing always runs, storage in one place, everything may be deleted.
param environmentName = 'dev'
param storageRedundancy = 'Standard_LRS'
param alwaysReadyHttp = 0
param lockResources = false
param vaultRetentionDays = 7
param logDailyCapGB = 1
param tags = {
  environment: 'dev'
}
