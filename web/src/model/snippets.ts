/* How to send logs here, for each sender. */
export interface Snippet {
	name: string;
	where: string; // what the text is
	text: (origin: string, tenant: string) => string;
}

function host(origin: string): { name: string; port: string; tls: boolean } {
	const u = new URL(origin);
	return { name: u.hostname, port: u.port || (u.protocol === 'https:' ? '443' : '80'), tls: u.protocol === 'https:' };
}

const yamlTenant = (t: string, indent: string) => (t === '' ? '' : `\n${indent}headers: {X-Scope-OrgID: ${JSON.stringify(t)}}`);

export const SNIPPETS: Snippet[] = [
	{
		name: 'curl',
		where: 'A line by hand, or a file of JSON lines:',
		text: (o, t) => {
			const h = t === '' ? '' : ` -H 'X-Scope-OrgID: ${t}'`;
			return `echo '{"level":"info","service":"hello","msg":"the first line"}' |\n  curl${h} --data-binary @- '${o}/api/v1/ingest?labels=service,level'\n\ncurl${h} --data-binary @app.log '${o}/api/v1/ingest?labels=service,level'`;
		},
	},
	{
		name: 'OpenTelemetry SDK',
		where: 'Environment of the service:',
		text: (o, t) => `OTEL_LOGS_EXPORTER=otlp\nOTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\nOTEL_EXPORTER_OTLP_ENDPOINT=${o}${t === '' ? '' : `\nOTEL_EXPORTER_OTLP_HEADERS=X-Scope-OrgID=${t}`}`,
	},
	{
		name: 'OTel Collector',
		where: 'In the collector’s configuration:',
		text: (o, t) => `exporters:\n  otlphttp/spoor:\n    endpoint: ${o}/otlp${yamlTenant(t, '    ')}\nservice:\n  pipelines:\n    logs:\n      receivers: [otlp]\n      exporters: [otlphttp/spoor]`,
	},
	{
		name: 'Alloy',
		where: 'In config.alloy; send to loki.write.spoor.receiver:',
		text: (o, t) => `loki.write "spoor" {\n  endpoint {\n    url = "${o}/loki/api/v1/push"${t === '' ? '' : `\n    tenant_id = ${JSON.stringify(t)}`}\n  }\n}`,
	},
	{
		name: 'promtail',
		where: 'In promtail.yaml:',
		text: (o, t) => `clients:\n  - url: ${o}/loki/api/v1/push${t === '' ? '' : `\n    tenant_id: ${JSON.stringify(t)}`}`,
	},
	{
		name: 'Docker',
		where: 'All containers of a host, with fluent-bit (docker run … fluent/fluent-bit with /var/lib/docker/containers mounted):',
		text: (o, t) => {
			const h = host(o);
			return `[INPUT]\n    Name    tail\n    Path    /var/lib/docker/containers/*/*-json.log\n    Parser  docker\n    Tag     docker.*\n\n[OUTPUT]\n    Name    loki\n    Match   *\n    Host    ${h.name}\n    Port    ${h.port}${h.tls ? '\n    Tls     On' : ''}${t === '' ? '' : `\n    Tenant_ID ${t}`}\n    Labels  job=docker`;
		},
	},
	{
		name: 'syslog-ng',
		where: 'A destination; log { source(s_src); destination(d_spoor); }; sends to it:',
		text: (o, t) => `destination d_spoor {\n  http(\n    url("${o}/api/v1/ingest?labels=host,program")${t === '' ? '' : `\n    headers("X-Scope-OrgID: ${t}")`}\n    method("POST")\n    headers("Content-Type: application/x-ndjson")\n    body("$(format-json time=$ISODATE host=$HOST program=$PROGRAM level=$LEVEL message=$MESSAGE)")\n    delimiter("\\n") batch-lines(100) batch-timeout(1000)\n  );\n};`,
	},
	{
		name: 'pino',
		where: 'npm install pino pino-loki',
		text: (o, t) => `import pino from 'pino';\n\nconst log = pino(pino.transport({\n  target: 'pino-loki',\n  options: { host: '${o}', labels: { service: 'my-service' }, batching: { interval: 1 }${t === '' ? '' : `, headers: { 'X-Scope-OrgID': '${t}' }`} },\n}));\nlog.info('the first line');`,
	},
	{
		name: 'winston',
		where: 'npm install winston winston-loki',
		text: (o, t) => `import winston from 'winston';\nimport LokiTransport from 'winston-loki';\n\nconst log = winston.createLogger({\n  transports: [new LokiTransport({ host: '${o}', labels: { service: 'my-service' }${t === '' ? '' : `, headers: { 'X-Scope-OrgID': '${t}' }`} })],\n});\nlog.info('the first line');`,
	},
];
