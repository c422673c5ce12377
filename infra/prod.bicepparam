using './main.bicep'

// Survives the loss of a zone, starts without delay, is watched, and cannot be deleted by mistake.
param environmentName = 'prod'
param storageRedundancy = 'Standard_ZRS'
param zoneRedundant = true
param alwaysReadyHttp = 2
param alwaysReadyDispatch = 2
param privateNetwork = true
param publicUrl = 'https://sms.contoso.com'
param alertEmail = 'sms-operations@contoso.com'
param logRetentionDays = 90
param logDailyCapGB = 20
param appSettings = {
  SMS_REPORT_WINDOW_HOURS: '96'
}
param tags = {
  environment: 'prod'
}
