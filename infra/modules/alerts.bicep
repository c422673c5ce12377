metadata description = 'What an operator wants to be woken for, and nothing else. docs/deploy.md says what to do about each.'

@description('End of the resource names.')
param name string
param location string
param tags object

@description('Where alerts are mailed to; empty: nowhere.')
param email string

@description('Minutes after which a waiting message is late.')
param oldestMessageMinutes int
param insightsId string
param vaultId string
param storageId string

@description('The system topic of Event Grid; empty: there is none.')
param topicId string

var high = 1
var medium = 2

// A query gives one row with the column Value, also where there is no telemetry at all; one with dimensions gives a row, and
// so an alert that names them, for each of their values there is.
var queryAlerts = [
  {
    name: 'silent'
    severity: high
    // Each sweep, once a minute, exports this figure.
    says: 'No sweep was heard of: the app does not run, did not load, lacks a setting, or cannot send telemetry.'
    query: 'customMetrics | where name == "sms.oldest.open" | summarize Value = count()'
    dimensions: []
    minutes: 15
    operator: 'LessThan'
    threshold: 1
  }
  {
    name: 'poison'
    severity: high
    says: 'Something failed again and again and was put aside in a poison queue. It stays there until somebody looks.'
    query: 'traces | where message startswith "Poison queue " | summarize Value = count()'
    dimensions: []
    minutes: 15
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'late'
    severity: high
    says: 'A message has been waiting to be sent for too long.'
    query: 'customMetrics | where name in ("sms.oldest.unsent", "sms.queue.age") | summarize Value = coalesce(max(iff(name == "sms.queue.age", valueMax, valueSum / valueCount)), 0.0) / 60'
    dimensions: []
    minutes: 15
    operator: 'GreaterThan'
    threshold: oldestMessageMinutes
  }
  {
    name: 'errors'
    severity: medium
    says: 'The API answered 5xx.'
    query: 'requests | where toint(resultCode) between (500 .. 599) | summarize Value = sum(itemCount)'
    dimensions: []
    minutes: 15
    operator: 'GreaterThan'
    threshold: 5
  }
  {
    name: 'vendor'
    severity: medium
    says: 'A vendor fails: calls of it were refused or not answered.'
    query: 'customMetrics | where name == "sms.vendor.errors" | summarize Count = sum(valueSum) by tostring(customDimensions["sms.vendor"]) | summarize Value = coalesce(max(Count), 0.0)'
    dimensions: []
    minutes: 15
    operator: 'GreaterThan'
    threshold: 50
  }
  {
    name: 'circuit'
    severity: high
    // Counted when calls are first held back, and again at least every two minutes for as long as they are.
    says: 'Calls to the vendor named in this alert are held back, since several in a row failed. Its messages wait, and are sent once it answers again.'
    query: 'customMetrics | where name == "sms.circuit.opened" | summarize Value = sum(valueSum) by Vendor = tostring(customDimensions["sms.vendor"]), Provider = tostring(customDimensions["sms.provider"])'
    dimensions: [
      {
        name: 'Vendor'
        operator: 'Include'
        values: ['*']
      }
      {
        name: 'Provider'
        operator: 'Include'
        values: ['*']
      }
    ]
    minutes: 15
    operator: 'GreaterThan'
    threshold: 0
  }
]

var always = [
  {
    name: 'vault-throttled'
    severity: medium
    says: 'Key Vault answers 429: credentials cannot be read, sends will fail.'
    scope: vaultId
    namespace: 'Microsoft.KeyVault/vaults'
    metric: 'ServiceApiResult'
    aggregation: 'Count'
    threshold: 0
    dimensions: [
      {
        name: 'StatusCode'
        operator: 'Include'
        values: ['429']
      }
    ]
  }
  {
    name: 'storage-throttled'
    severity: medium
    says: 'Storage refuses requests for their number: more than 20,000 a second of the account, or 2,000 of a table partition.'
    scope: storageId
    namespace: 'Microsoft.Storage/storageAccounts'
    metric: 'Transactions'
    aggregation: 'Total'
    threshold: 100
    dimensions: [
      {
        name: 'ResponseType'
        operator: 'Include'
        values: ['ClientThrottlingError', 'ServerBusyError', 'ClientAccountRequestThrottlingError']
      }
    ]
  }
]
var withTopic = [
  {
    name: 'events-dead'
    severity: high
    says: 'Event Grid gave up on events and wrote them into the container dead-events.'
    scope: topicId
    namespace: 'Microsoft.EventGrid/systemTopics'
    metric: 'DeadLetteredCount'
    aggregation: 'Total'
    threshold: 0
    dimensions: []
  }
  {
    name: 'events-dropped'
    severity: high
    says: 'Event Grid lost events: it could neither deliver nor bury them.'
    scope: topicId
    namespace: 'Microsoft.EventGrid/systemTopics'
    metric: 'DroppedEventCount'
    aggregation: 'Total'
    threshold: 0
    dimensions: []
  }
]
var metricAlerts = empty(topicId) ? always : concat(always, withTopic)

resource mail 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(email)) {
  name: 'ag-${name}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'sms'
    enabled: true
    emailReceivers: [
      {
        name: 'operators'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource query 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for one in queryAlerts: {
  name: 'alert-${name}-${one.name}'
  location: location
  tags: tags
  properties: {
    displayName: 'SMS gateway: ${one.name}'
    description: one.says
    severity: one.severity
    enabled: true
    scopes: [insightsId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT${one.minutes}M'
    autoMitigate: true
    // The tables of telemetry are there only once the app has run.
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: one.query
          metricMeasureColumn: 'Value'
          timeAggregation: 'Total'
          dimensions: one.dimensions
          operator: one.operator
          threshold: one.threshold
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: empty(email) ? [] : [mail.id]
    }
  }
}]

resource metric 'Microsoft.Insights/metricAlerts@2018-03-01' = [for one in metricAlerts: {
  name: 'alert-${name}-${one.name}'
  location: 'global'
  tags: tags
  properties: {
    description: one.says
    severity: one.severity
    enabled: true
    scopes: [one.scope]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: one.name
          criterionType: 'StaticThresholdCriterion'
          metricNamespace: one.namespace
          metricName: one.metric
          operator: 'GreaterThan'
          threshold: one.threshold
          timeAggregation: one.aggregation
          dimensions: one.dimensions
        }
      ]
    }
    actions: empty(email) ? [] : [
      {
        actionGroupId: mail.id
      }
    ]
  }
}]
