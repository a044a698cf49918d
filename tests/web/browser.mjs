/* The page as a person uses it, in Chromium. Told what to do by run.py in one argument of JSON; prints "ok NAME" or
 * "FAIL NAME why" for each test. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as tests from './screens.mjs';

const told = JSON.parse(process.argv[2]);
const require = createRequire(pathToFileURL(join(process.env.WEB_MODULES, 'x.js')));
const { chromium } = require('playwright-core');
const axe = require.resolve('axe-core/axe.min.js');

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage', '--js-flags=--expose-gc'] });

/** A fresh profile: a window of this size and theme, with what it says wrong collected. */
async function profile({ width = 1280, height = 800, theme = 'light', bypassCSP = false } = {}) {
	const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, bypassCSP, baseURL: told.url, acceptDownloads: true, permissions: ['clipboard-read', 'clipboard-write'] });
	const page = await context.newPage();
	const wrong = [];
	page.setDefaultTimeout(15000 * told.slower);
	page.on('pageerror', (e) => wrong.push(`error: ${e.message}`));
	page.on('console', (m) => /Content Security Policy|Trusted Type/.test(m.text()) && wrong.push(m.text()));
	page.on('request', (r) => !r.url().startsWith(told.url) && !/^(data|blob):/.test(r.url()) && wrong.push(`a request to ${r.url()}`));
	return { context, page, wrong };
}

async function run(name, test) {
	const made = [];
	const open = async (options) => {
		const p = await profile(options);
		made.push(p);
		return p.page;
	};
	try {
		await test({ open, told, axe, made });
		for (const { page, wrong } of made) {
			if (wrong.length > 0) throw new Error(wrong.join(' | ').slice(0, 800));
			if (!page.isClosed() && (await page.evaluate(() => window.hacked)) !== undefined) throw new Error('a script of a log line ran');
		}
		console.log(`ok ${name}`);
	} catch (e) {
		const page = made.at(-1)?.page;
		if (page && !page.isClosed()) await page.screenshot({ path: join(told.shots, `failed-${name}.png`) }).catch(() => {});
		console.log(`FAIL ${name} ${String(e.message ?? e).replace(/\u001b\[[0-9;]*m/g, '').replace(/\s+/g, ' ').slice(0, 900)}`);
	} finally {
		for (const { context } of made) await context.close();
	}
}

for (const [name, test] of Object.entries(tests)) {
	const only = ['first_start', 'million'].includes(name);
	if (told.wanted.length > 0 ? !told.wanted.some((w) => name.includes(w)) : only && !(name === 'million' && told.long)) continue;
	await run(name, test);
}
await browser.close();
