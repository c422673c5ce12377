using './main.bicep'

// What azd deploys. Set any of these with: azd env set NAME VALUE. dev.bicepparam and prod.bicepparam are whole examples.
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', 'dev')
param pythonVersion = readEnvironmentVariable('GATEWAY_PYTHON_VERSION', '3.12')
param publicUrl = readEnvironmentVariable('GATEWAY_PUBLIC_URL', '')
param alertEmail = readEnvironmentVariable('GATEWAY_ALERT_EMAIL', '')
param storageRedundancy = readEnvironmentVariable('GATEWAY_STORAGE_REDUNDANCY', 'Standard_ZRS')
param alwaysReadyHttp = int(readEnvironmentVariable('GATEWAY_ALWAYS_READY_HTTP', '1'))
param alwaysReadyDispatch = int(readEnvironmentVariable('GATEWAY_ALWAYS_READY_DISPATCH', '0'))
param privateNetwork = bool(readEnvironmentVariable('GATEWAY_PRIVATE_NETWORK', 'false'))
param lockResources = bool(readEnvironmentVariable('GATEWAY_LOCK_RESOURCES', 'true'))
param recoverVault = bool(readEnvironmentVariable('GATEWAY_RECOVER_VAULT', 'false'))
param communication = readEnvironmentVariable('GATEWAY_COMMUNICATION', 'none')
param existingCommunicationId = readEnvironmentVariable('GATEWAY_COMMUNICATION_ID', '')
param existingTopicName = readEnvironmentVariable('GATEWAY_TOPIC_NAME', '')
param existingTopicIdentityId = readEnvironmentVariable('GATEWAY_EXISTING_TOPIC_IDENTITY', '')
