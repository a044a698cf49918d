// An application under @opentelemetry/sdk-node, configured by OTEL_* variables alone, with the pino and winston
// instrumentations: what it logs inside a span goes out as OTLP with the trace's ids. Prints the ids as JSON.
const { NodeSDK } = require('@opentelemetry/sdk-node')
const { PinoInstrumentation } = require('@opentelemetry/instrumentation-pino')
const { WinstonInstrumentation } = require('@opentelemetry/instrumentation-winston')
const { DiagLogLevel, diag, trace } = require('@opentelemetry/api')

const complaints = []
const note = (text, ...more) => complaints.push([text, ...more].map(String).join(' '))
diag.setLogger({ error: note, warn: () => {}, info: () => {}, debug: () => {}, verbose: () => {} }, DiagLogLevel.ERROR)

const sdk = new NodeSDK({ instrumentations: [new PinoInstrumentation(), new WinstonInstrumentation()] })
sdk.start()

const pino = require('pino')
const winston = require('winston')
const orders = pino({ level: 'debug' }, pino.destination('/dev/null'))
const payments = winston.createLogger({ level: 'debug', transports: [new winston.transports.Console({ silent: true })] })
const tracer = trace.getTracer('shop')
const spans = []

for (let n = 0; n < 20; n++) {
  tracer.startActiveSpan(`GET /orders/${n}`, (span) => {
    const { traceId, spanId } = span.spanContext()
    spans.push({ n, traceId, spanId })
    orders.info({ n }, `order ${n} placed`)
    payments.log('error', `payment ${n} refused`, { n })
    span.end()
  })
}
sdk.shutdown().then(() => {
  console.log(JSON.stringify({ spans, complaints }))
  process.exit(0)
})
