// OpenTelemetry log exporters, each over its own protocol: node otel.mjs HTTP_URL GRPC_ADDRESS. Every exporter sends the
// same requests' records under a service name of its own; they share trace ids. Prints what was sent as JSON.
import { randomBytes } from 'node:crypto'
import { TraceFlags, trace, ROOT_CONTEXT } from '@opentelemetry/api'
import { SeverityNumber } from '@opentelemetry/api-logs'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs'
import { OTLPLogExporter as HttpJson } from '@opentelemetry/exporter-logs-otlp-http'
import { OTLPLogExporter as HttpProtobuf } from '@opentelemetry/exporter-logs-otlp-proto'
import { OTLPLogExporter as Grpc } from '@opentelemetry/exporter-logs-otlp-grpc'

const [http, grpc] = process.argv.slice(2)
const run = randomBytes(4).toString('hex')
const requests = Array.from({ length: 25 }, (_, i) => ({
  n: i,
  traceId: randomBytes(16).toString('hex'),
  spanId: randomBytes(8).toString('hex'),
}))
const url = `${http}/v1/logs`
const exporters = {
  'http-json': new HttpJson({ url }),
  'http-json-gzip': new HttpJson({ url, compression: 'gzip' }),
  'http-protobuf': new HttpProtobuf({ url }),
  'http-protobuf-gzip': new HttpProtobuf({ url, compression: 'gzip' }),
  'http-protobuf-loki-path': new HttpProtobuf({ url: `${http}/otlp/v1/logs` }),
  grpc: new Grpc({ url: `http://${grpc}` }),
  'grpc-gzip': new Grpc({ url: `http://${grpc}`, compression: 'gzip' }),
}
const failures = []

for (const [name, exporter] of Object.entries(exporters)) {
  const original = exporter.export.bind(exporter)
  exporter.export = (records, done) =>
    original(records, (result) => {
      if (result.code !== 0) failures.push(`${name}: ${result.error}`)
      done(result)
    })
  const provider = new LoggerProvider({
    resource: resourceFromAttributes({ 'service.name': name, 'service.namespace': run, 'host.name': 'build-7' }),
    processors: [new BatchLogRecordProcessor({ exporter })],
  })
  const logger = provider.getLogger('shop', '1.2.3')
  for (const { n, traceId, spanId } of requests) {
    const error = n % 10 === 7
    logger.emit({
      severityNumber: error ? SeverityNumber.ERROR : SeverityNumber.INFO,
      severityText: error ? 'ERROR' : 'INFO',
      body: `order ${n} placed`,
      attributes: { 'http.status': 200 + n, ratio: 0.5, nested: { tags: ['a', 'b'], deep: { ok: true } } },
      context: trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: TraceFlags.SAMPLED }),
    })
  }
  logger.emit({ body: { event: 'shutdown', code: 7 }, severityNumber: SeverityNumber.WARN })
  await provider.shutdown()
}
console.log(JSON.stringify({ run, requests, exporters: Object.keys(exporters), failures }))
process.exit(failures.length > 0 ? 1 : 0)
