/* Bundles the page, checks its size, and writes it gzipped as C for spoord.
 *
 *	node build.mjs FILE     dist/, and FILE in C
 *	node build.mjs --dev    dist/ with source maps, not minified
 *
 * Names hold a hash of their content, so browsers may keep them for ever; index.html alone is asked for each time. */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const FIRST_PAINT = 60 * 1024; // bytes, gzipped: what index.html needs before it shows something
const EVERYTHING = 250 * 1024;

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, 'dist');
const dev = process.argv.includes('--dev');
const out = process.argv.slice(2).find((a) => !a.startsWith('--'));
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml' };

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);
const result = await build({
	absWorkingDir: here,
	entryPoints: { app: 'src/main.tsx', style: 'src/styles/main.css' },
	outdir: 'dist',
	bundle: true,
	splitting: true,
	format: 'esm',
	target: 'es2022',
	minify: !dev,
	sourcemap: dev ? 'linked' : false,
	jsx: 'automatic',
	jsxImportSource: 'preact',
	entryNames: '[name]-[hash]',
	chunkNames: '[name]-[hash]',
	assetNames: '[name]-[hash]',
	metafile: true,
	legalComments: 'none',
	logLevel: 'warning',
});

const outputs = Object.entries(result.metafile.outputs);
const entry = (source) => {
	const found = outputs.find(([, o]) => o.entryPoint === source);
	return found[0].slice('dist/'.length);
};
const app = entry('src/main.tsx');
const style = entry('src/styles/main.css');

/* What a file imports before it can run; not what it may load later. */
function needs(name, seen = new Set()) {
	if (seen.has(name)) return seen;
	seen.add(name);
	for (const i of result.metafile.outputs[`dist/${name}`]?.imports ?? [])
		if (i.kind === 'import-statement') needs(i.path.slice('dist/'.length), seen);
	return seen;
}

const preload = [...needs(app)].filter((n) => n !== app);
const html = readFileSync(join(here, 'src/index.html'), 'utf8')
	.replace('<!-- style -->', `<link rel="stylesheet" href="/ui/assets/${style}">`)
	.replace(
		'<!-- script -->',
		preload.map((n) => `<link rel="modulepreload" href="/ui/assets/${n}">`).join('') +
			`<script type="module" src="/ui/assets/${app}"></script>`,
	);
writeFileSync(join(dist, 'index.html'), html);

const files = readdirSync(dist)
	.filter((name) => types[extname(name)] !== undefined)
	.sort()
	.map((name) => {
		const raw = readFileSync(join(dist, name));
		const gzip = gzipSync(raw, { level: 9 });
		gzip[9] = 255; // the same bytes on every system
		return { name, type: types[extname(name)], raw, gzip, etag: createHash('sha256').update(raw).digest('hex').slice(0, 16) };
	});

const sum = (list) => list.reduce((n, f) => n + f.gzip.length, 0);
/* Explore is what the address without anything shows. */
const explore = outputs.find(([, o]) => o.entryPoint === 'src/pages/explore.tsx')[0].slice('dist/'.length);
const first = new Set(['index.html', style, ...needs(app), ...needs(explore)]);
const nFirst = sum(files.filter((f) => first.has(f.name)));
const nAll = sum(files);
for (const f of files) console.log(`${String(f.gzip.length).padStart(7)}  ${first.has(f.name) ? '*' : ' '} ${f.name}`);
console.log(`first paint ${nFirst} of ${FIRST_PAINT} bytes, everything ${nAll} of ${EVERYTHING}, gzipped`);
if (!dev && (nFirst > FIRST_PAINT || nAll > EVERYTHING)) {
	console.error('build.mjs: the page is too large');
	process.exit(1);
}

const rows = (bytes) => {
	let text = '';
	for (let i = 0; i < bytes.length; i += 24) text += `\t${[...bytes.subarray(i, i + 24)].join(',')},\n`;
	return text;
};
let c = '/* Made by web/build.mjs from the sources in web/src: do not edit. */\n#include "api/assets.h"\n\n';
files.forEach((f, i) => {
	c += `static const unsigned char file_${i}[] = {\n${rows(f.gzip)}};\n\n`;
});
c += 'const struct web_asset web_assets[] = {\n';
files.forEach((f, i) => {
	c += `\t{ "${f.name}", "${f.type}", "\\"${f.etag}\\"", file_${i}, sizeof(file_${i}), ${f.raw.length} },\n`;
});
c += '};\nconst size_t web_n_assets = sizeof(web_assets) / sizeof(web_assets[0]);\n';
if (out !== undefined) {
	writeFileSync(`${out}.new`, c);
	renameSync(`${out}.new`, out);
}
