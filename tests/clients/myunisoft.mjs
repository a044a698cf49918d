// @myunisoft/loki as a reader: node myunisoft.mjs URL QUERY. Asks without start and end, as it does by default.
import { GrafanaApi } from '@myunisoft/loki'

const [remoteApiURL, query] = process.argv.slice(2)
const api = new GrafanaApi({ authentication: { type: 'bearer', token: 'a-token' }, remoteApiURL })
const range = await api.Loki.queryRange(query)
const pattern = await api.Loki.queryRange(query, { pattern: 'order <n> placed' })
const streams = await api.Loki.queryRangeStream(query)
const labels = await api.Loki.labels()
const apps = await api.Loki.labelValues('app')
const series = await api.Loki.series(query)
console.log(JSON.stringify({ range, pattern, streams, labels, apps, series }))
