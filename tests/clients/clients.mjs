// A small shop that logs through real libraries: node clients.mjs BASE_URL. Each of its three services uses another
// one; the requests they serve share trace ids. Prints what it logged as JSON: the test asks the server for it.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import pino from 'pino'
import winston from 'winston'
import LokiTransport from 'winston-loki'

const host = process.argv[2]
const run = randomBytes(4).toString('hex')
const requests = Array.from({ length: 25 }, (_, i) => ({ n: i, traceId: randomBytes(16).toString('hex') }))
const failures = []
const fail = (who) => (error) => failures.push(`${who}: ${error}`)

// pino-loki: JSON lines; `meta` becomes structured metadata
const transport = pino.transport({
  target: 'pino-loki',
  options: { host, labels: { app: 'pino', run }, batching: { interval: 1 }, structuredMetaKey: 'meta', silenceErrors: false },
})
transport.on('error', fail('pino-loki'))
const orders = pino({ level: 'debug' }, transport)

// winston-loki as JSON: what is left of the record becomes structured metadata
const asJson = new LokiTransport({
  host,
  json: true,
  interval: 1,
  labels: { app: 'winston-json', run },
  gracefulShutdown: false,
  onConnectionError: fail('winston-loki json'),
})
const payments = winston.createLogger({ level: 'debug', transports: [asJson] })

// winston-loki as it comes: protobuf with snappy
const asProtobuf = new LokiTransport({
  host,
  interval: 1,
  labels: { app: 'winston-protobuf', run },
  gracefulShutdown: false,
  onConnectionError: fail('winston-loki protobuf'),
})
const shipping = winston.createLogger({ level: 'debug', transports: [asProtobuf] })

for (const { n, traceId } of requests) {
  const error = n % 10 === 7
  orders[error ? 'error' : 'info']({ trace_id: traceId, n, meta: { trace_id: traceId, request: String(n) } }, `order ${n} placed`)
  payments.log(error ? 'error' : 'info', `payment ${n} taken`, { trace_id: traceId, n })
  shipping.log(error ? 'error' : 'info', `parcel ${n} packed`, { trace_id: traceId, n })
}

await Promise.all([asJson.flush(), asProtobuf.flush()])
await Promise.all([asJson.close(), asProtobuf.close()])
const alive = setInterval(() => {}, 1000) // the transport's thread alone does not keep the process
await new Promise((resolve) => orders.flush(resolve))
await new Promise((resolve) => setTimeout(resolve, 2500)) // pino-loki may end without its last batch: let its interval pass
transport.end()
await once(transport, 'close')
clearInterval(alive)
console.log(JSON.stringify({ run, requests, failures }))
process.exit(failures.length > 0 ? 1 : 0)
