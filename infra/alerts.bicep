// What somebody should know of: rules over the app's log lines, and a web test of one domain.

param appName string
param location string
param insightsId string

@description('Empty: the alerts are shown in the portal only.')
param alertEmail string

@description('Empty: no web test.')
param testedDomain string

var receivers = empty(alertEmail) ? [] : [
  operators.id
]

// The texts are those of the log lines in function_app.py and policy_store/.
var rules = [
  {
    name: 'invalid-row'
    title: 'MTA-STS: a row has to be fixed'
    text: 'A row of the table is not a policy, no request finds it, it vanished, or its revision could not be added. mta-sts audit says which.'
    severity: 2
    query: 'traces | where message startswith "audit domains=" and message matches regex "(invalid_row|unreachable_row|vanished_row|not_recorded)=[1-9]"'
    daily: false
  }
  {
    name: 'last-good'
    title: 'MTA-STS: last good policies are served'
    text: 'A row is invalid, so that senders get its last good revision. mta-sts audit says which.'
    severity: 2
    query: 'traces | where message startswith "answer domain=" and message contains "outcome=last-good"'
    daily: false
  }
  {
    name: 'storage-fails'
    title: 'MTA-STS: storage fails'
    text: 'The app cannot read its tables: it serves copies if it has them, otherwise 503.'
    severity: 1
    query: 'traces | where message startswith "storage fails" or message startswith "no look at the table" or (message startswith "answer domain=" and (message contains "outcome=stale" or message contains "outcome=unavailable"))'
    daily: false
  }
  {
    name: 'settings'
    title: 'MTA-STS: the app serves nothing'
    text: 'A setting of the app is missing or wrong. GET /health says which.'
    severity: 0
    query: 'traces | where message startswith "the app serves nothing"'
    daily: false
  }
  {
    name: 'mail-refused'
    title: 'MTA-STS: a sender refuses to deliver'
    text: 'A TLS report names sessions that failed under a policy in enforce: mail of that sender does not arrive. mta-sts reports list says which and why. Anybody can post a report: mta-sts check shows whether it is true.'
    severity: 1
    query: 'traces | where message startswith "mail is refused"'
    daily: false
  }
  {
    name: 'audit-missing'
    title: 'MTA-STS: the audit has not finished for 30 minutes'
    text: 'Edits by hand get no id, and no id is published. Look at the log of the function audit.'
    severity: 1
    query: 'traces | where message startswith "audit domains=" | summarize audits = count() | where audits == 0'
    daily: false
  }
  {
    name: 'ids-late'
    title: 'MTA-STS: ids are not published'
    text: 'New policies are served, but DNS does not show their ids: most senders go on with the old ones. The log of the app says why.'
    severity: 2
    query: 'traces | where message startswith "ids are not published" or (message startswith "publish published=" and message matches regex "late=[1-9]")'
    daily: false
  }
  {
    name: 'no-request'
    title: 'MTA-STS: no request for a day'
    text: 'No sending server has asked for a policy for a day. Look at the DNS records and certificates: mta-sts check --all.'
    severity: 2
    query: 'traces | where message startswith "answer domain=" and not(message contains "AppInsights") | summarize answers = count() | where answers == 0'
    daily: true
  }
]

resource operators 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(alertEmail)) {
  name: '${appName}-operators'
  location: 'global'
  properties: {
    enabled: true
    groupShortName: 'mta-sts'
    emailReceivers: [
      {
        name: 'operators'
        emailAddress: alertEmail
        useCommonAlertSchema: true
      }
    ]
  }
}

resource logAlerts 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for rule in rules: {
  name: '${appName}-${rule.name}'
  location: location
  kind: 'LogAlert'
  properties: {
    displayName: rule.title
    description: rule.text
    enabled: true
    severity: rule.severity
    scopes: [
      insightsId
    ]
    evaluationFrequency: rule.daily ? 'PT1H' : 'PT5M'
    windowSize: rule.daily ? 'P1D' : 'PT30M'
    autoMitigate: true
    criteria: {
      allOf: [
        {
          query: rule.query
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: receivers
    }
  }
}]

resource webTest 'Microsoft.Insights/webtests@2022-06-15' = if (!empty(testedDomain)) {
  name: '${appName}-web-test'
  location: location
  kind: 'standard'
  tags: {
    // The portal shows a test with the component that this tag names.
    'hidden-link:${insightsId}': 'Resource'
  }
  properties: {
    SyntheticMonitorId: '${appName}-web-test'
    Name: 'MTA-STS policy of ${testedDomain}'
    Kind: 'standard'
    Enabled: true
    Frequency: 900
    Timeout: 30
    RetryEnabled: true
    Locations: [for place in [
      'emea-nl-ams-azr'
      'emea-ru-msa-edge'
      'us-va-ash-azr'
      'us-ca-sjc-azr'
      'apac-sg-sin-azr'
    ]: {
      Id: place
    }]
    Request: {
      RequestUrl: 'https://mta-sts.${testedDomain}/.well-known/mta-sts.txt'
      HttpVerb: 'GET'
      FollowRedirects: false
      ParseDependentRequests: false
    }
    ValidationRules: {
      ExpectedHttpStatusCode: 200
      IgnoreHttpStatusCode: false
      SSLCheck: true
      SSLCertRemainingLifetimeCheck: 14
      ContentValidation: {
        ContentMatch: 'version: STSv1'
        PassIfTextFound: true
      }
    }
  }
}

resource webTestAlert 'Microsoft.Insights/metricAlerts@2018-03-01' = if (!empty(testedDomain)) {
  name: '${appName}-web-test'
  location: 'global'
  properties: {
    description: 'The policy of ${testedDomain} cannot be fetched from two or more places, or its certificate ends within two weeks.'
    enabled: true
    severity: 1
    scopes: [
      webTest.id
      insightsId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria'
      webTestId: webTest.id
      componentId: insightsId
      failedLocationCount: 2
    }
    actions: [for group in receivers: {
      actionGroupId: group
    }]
  }
}
