/* What a person does with each screen. `open` makes a window in a fresh profile; `told` is what run.py says: the
 * address, the trace of the story, where screenshots go. */
import { strict as assert } from 'node:assert';
import { join } from 'node:path';

const rows = (page) => page.locator('.row');
const ready = (page) => page.locator('.row').first().waitFor();

async function type(page, text) {
	const editor = page.locator('.cm-content');
	await editor.click();
	await page.keyboard.press('Control+A');
	await page.keyboard.press('Delete');
	if (text !== '') await page.keyboard.insertText(text);
}

async function explore(page, params) {
	await page.goto(`/ui/?${new URLSearchParams(params)}`);
	await ready(page);
}

export async function first_start({ open }) {
	const page = await open();
	await page.goto('/ui/');
	await page.getByRole('heading', { name: 'Send logs here' }).waitFor();
	assert.equal(await rows(page).count(), 0);
	await page.getByRole('button', { name: 'OpenTelemetry SDK' }).click();
	assert.match(await page.locator('.send-text pre').innerText(), /OTEL_EXPORTER_OTLP_ENDPOINT=http:\/\/127/);
}

export async function query_with_completion({ open }) {
	const page = await open();
	await explore(page, {});
	await page.locator('.cm-content').waitFor();
	await type(page, '');
	await page.keyboard.type('{ap');
	await page.locator('.cm-tooltip-autocomplete li', { hasText: /^app/ }).first().waitFor();
	await page.keyboard.press('Escape');
	await type(page, '{app="checkout"} |= "Order"');
	await page.keyboard.press('Control+Enter');
	await page.waitForURL(/q=/);
	await page.locator('mark', { hasText: 'Order' }).first().waitFor();
	const texts = await page.locator('.row-text').allInnerTexts();
	assert.ok(texts.length > 10 && texts.every((t) => t.includes('Order')), 'each line holds the word');
}

export async function error_where_it_is({ open }) {
	const page = await open();
	await explore(page, {});
	await page.locator('.cm-content').waitFor();
	await type(page, '{app="checkout"} | jsonn');
	await page.locator('.plan-bar .error-text', { hasText: 'parse error' }).waitFor();
	await page.locator('.cm-lintRange-error, .cm-lintPoint-error').first().waitFor();
}

export async function zoom_and_back({ open }) {
	const page = await open();
	await explore(page, { from: 'now-2h' });
	const box = await page.locator('.histogram svg').first().boundingBox();
	await page.mouse.move(box.x + box.width * 0.6, box.y + box.height / 2);
	await page.mouse.down();
	await page.mouse.move(box.x + box.width * 0.8, box.y + box.height / 2, { steps: 5 });
	await page.mouse.up();
	await page.waitForURL(/from=\d{19}/);
	await ready(page);
	await page.goBack();
	await page.waitForURL(/from=now-2h/);
	await ready(page);
}

export async function expand_include_exclude({ open }) {
	const page = await open();
	await explore(page, { q: '{cluster="eu-1"}' });
	await page.locator('.row-toggle').first().click();
	await page.locator('.details').first().waitFor();
	await page.locator('.details').getByRole('button', { name: /^Only app / }).first().click();
	await page.waitForURL(/app%3D/);
	await ready(page);
	const query = new URL(page.url()).searchParams.get('q');
	assert.match(query, /app="\w+"/);
	await page.locator('.row-toggle').first().click();
	await page.locator('.details').getByRole('button', { name: /^Without pod / }).first().click();
	await page.waitForURL(/pod%21/);
	assert.match(new URL(page.url()).searchParams.get('q'), /pod!="/);
}

export async function fields_panel({ open }) {
	const page = await open();
	await explore(page, { q: '{app="checkout"}' });
	await page.locator('.explore-panel').getByText('http_status_code').first().waitFor();
	await page.locator('.explore-panel').getByText('http_status_code').first().click();
	await page.locator('.explore-panel').getByText('200', { exact: true }).first().click();
	await page.waitForURL(/http_status_code/);
	await ready(page);
	assert.match(new URL(page.url()).searchParams.get('q'), /\| json \| http_status_code="200"/);
}

export async function context_of_a_line({ open }) {
	const page = await open();
	await explore(page, { q: '{app="checkout"} |= "Order"' });
	await page.locator('.row-toggle').nth(3).click();
	await page.getByRole('button', { name: 'Lines around' }).first().click();
	const dialog = page.getByRole('dialog', { name: 'Around this line' });
	await dialog.locator('.row.pinned').waitFor();
	const n = await dialog.locator('.row').count();
	assert.ok(n > 5, `${n} lines around`);
	await dialog.getByRole('button', { name: 'All services ±1 min' }).click();
	await dialog.locator('.row.pinned').waitFor();
	await dialog.getByRole('button', { name: /older/ }).click();
	await page.waitForFunction((was) => document.querySelectorAll('dialog .row').length > was, n);
}

export async function scrolls_both_ways({ open }) {
	const page = await open();
	await explore(page, { q: '{app="search"}' });
	const seen = new Set();
	for (let i = 0; i < 12; i++) {
		for (const id of await rows(page).evaluateAll((r) => r.map((x) => x.dataset.id))) seen.add(id);
		await page.locator('.log-list').evaluate((l) => l.scrollTo(0, l.scrollHeight));
		await page.waitForTimeout(150);
	}
	assert.ok(seen.size >= 800, `${seen.size} lines seen`);
	assert.ok((await rows(page).count()) < 1200, 'rows far away are gone');
	await page.locator('.log-list').evaluate((l) => l.scrollTo(0, 0));
	await page.waitForFunction(() => document.querySelector('[data-slot="0"] .row') !== null);
}

export async function permalink_in_a_fresh_profile({ open }) {
	const page = await open();
	await explore(page, { q: '{app="checkout"} |= "Order"' });
	const id = await rows(page).nth(30).getAttribute('data-id');
	const text = await rows(page).nth(30).locator('.row-text').innerText();
	await page.locator('.row-toggle').nth(30).click();
	await page.getByRole('button', { name: 'Copy link' }).first().click();
	const link = await page.evaluate(() => navigator.clipboard.readText());
	assert.ok(link.includes(id), link);
	const other = await open();
	await other.goto(link);
	await other.locator(`.row.pinned[data-id="${id}"]`).waitFor();
	assert.equal(await other.locator('.row.pinned .row-text').innerText(), text);
	assert.ok((await rows(other).count()) > 5, 'lines above and below');
}

export async function views({ open }) {
	const page = await open();
	await explore(page, { q: '{app="checkout"}' });
	await page.getByRole('button', { name: 'Table' }).click();
	await page.locator('.row-head').waitFor();
	await page.getByRole('button', { name: 'Patterns' }).click();
	await page.locator('.patterns-view, .patterns').first().waitFor();
	await page.goto(`/ui/?${new URLSearchParams({ q: 'sum by (app) (count_over_time({app=~".+"}[1m]))' })}`);
	await page.locator('canvas').first().waitFor();
	const box = await page.locator('.u-over').first().boundingBox();
	await page.mouse.move(box.x + box.width * 0.5, box.y + box.height / 2);
	await page.mouse.down();
	await page.mouse.move(box.x + box.width * 0.8, box.y + box.height / 2, { steps: 5 });
	await page.mouse.up();
	await page.waitForURL(/from=\d{19}/);
	await page.locator('canvas').first().waitFor();
	await page.getByRole('button', { name: /^Log lines of .*checkout/ }).first().click();
	await ready(page);
	const at = new URL(page.url()).searchParams;
	assert.equal(BigInt(at.get('to')) - BigInt(at.get('from')), 60_000_000_000n, 'the range of the query');
	assert.match(at.get('q'), /app="checkout"/);
}

export async function download_all({ open }) {
	const page = await open();
	await explore(page, { q: '{app="search"}' });
	await page.getByRole('button', { name: /^More/ }).click();
	const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('menuitem', { name: 'Download JSON lines' }).click()]);
	const chunks = [];
	for await (const c of await file.createReadStream()) chunks.push(c);
	const lines = Buffer.concat(chunks).toString().trim().split('\n').map((l) => JSON.parse(l));
	assert.ok(lines.length > 1000, `${lines.length} lines`);
	assert.equal(new Set(lines.map((l) => l.ts + l.line)).size, lines.length, 'none twice');
}

export async function trace({ open, told }) {
	const page = await open();
	await page.goto('/ui/');
	await page.getByLabel(/Find a trace/).fill(`00-${told.trace}-00f067aa0ba902b7-01`);
	await page.keyboard.press('Enter');
	await page.waitForURL(new RegExp(`/ui/trace/${told.trace}`));
	await page.locator('.trace-root', { hasText: 'Payment failed for order 456' }).waitFor();
	assert.equal(await page.locator('.waterfall-row').count(), 3);
	assert.equal(await page.locator('.trace-line').count(), 8);
	const names = await page.locator('.waterfall-title').allInnerTexts();
	assert.ok(/gateway/.test(names[0]) && /order-service/.test(names[1]) && /payment-service/.test(names[2]), names.join());
	assert.match(await page.getByRole('link', { name: /Jaeger/ }).getAttribute('href'), new RegExp(`^https://jaeger.example/trace/${told.trace}$`));
	await page.locator('.waterfall-title').nth(2).click();
	await page.waitForURL(/span=b7ad6b7169203331/);
	await page.getByRole('button', { name: 'Errors only' }).click();
	assert.equal(await page.locator('.waterfall-row').count(), 2);
	await page.getByRole('button', { name: 'Errors only' }).click();
	await page.getByRole('button', { name: 'Critical path' }).click();
	await page.locator('.waterfall-row', { hasText: 'gateway' }).locator('.waterfall-critical').first().waitFor();
	await page.locator('.waterfall-row', { hasText: 'payment-service' }).locator('.waterfall-critical').first().waitFor();
	await page.screenshot({ path: join(told.shots, 'critical-path.png') });
	const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Export HTML' }).click()]);
	assert.match(file.suggestedFilename(), /\.html$/);
	await page.goto('/ui/trace/00000000000000000000000000000abc');
	await page.getByRole('heading', { name: 'No lines of this trace' }).waitFor();
}

export async function short_spans({ open, told }) {
	const id = 'aaaabbbbccccddddeeeeffff00001111';
	const ns = BigInt(Date.now()) * 1000000n;
	const of = (after, line, span, more) => [String(ns + after), line, { trace_id: id, span_id: span, ...more }];
	const values = [of(0n, 'begun', '1111111111111111'), of(500_000_000n, 'a moment', '2222222222222222', { parent_span_id: '1111111111111111' }), of(1_000_000_000n, 'ended', '1111111111111111')];
	await push(told, values);
	const page = await open();
	await page.goto(`/ui/trace/${id}`);
	await page.locator('.waterfall-row').nth(1).waitFor();
	await page.getByRole('button', { name: 'Hide < 1 %' }).click();
	await page.locator('.waterfall-row').nth(1).waitFor({ state: 'detached' });
	assert.equal(await page.locator('.trace-line', { hasText: 'a moment' }).count(), 0);
	assert.equal(await page.locator('.waterfall-row').count(), 1);
}

export async function trace_drawer({ open, told }) {
	const page = await open();
	await explore(page, { q: '{service_name="payment-service"}' });
	await page.locator('button.row-trace').first().click();
	await page.getByRole('dialog', { name: new RegExp(told.trace) }).locator('.waterfall-row').first().waitFor();
}

async function push(told, lines) {
	const ns = BigInt(Date.now()) * 1000000n;
	const values = lines.map((l, i) => (typeof l === 'string' ? [String(ns + BigInt(i)), l] : l));
	const r = await fetch(`${told.url}/loki/api/v1/push`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ streams: [{ stream: { service_name: 'live-test' }, values }] }) });
	assert.equal(r.status, 204);
}

export async function live_and_pause({ open, told }) {
	const page = await open();
	await page.goto(`/ui/live?${new URLSearchParams({ q: '{service_name="live-test"}' })}`);
	await page.getByText('connected', { exact: false }).first().waitFor();
	await push(told, ['before the pause']);
	await page.locator('.row', { hasText: 'before the pause' }).waitFor();
	await page.getByRole('button', { name: 'Pause' }).click();
	await push(told, Array.from({ length: 50 }, (_, i) => `while paused ${i}.`));
	await page.locator('.live-paused', { hasText: '50 new lines' }).waitFor();
	assert.equal(await page.locator('.row', { hasText: 'while paused' }).count(), 0);
	await page.locator('.live-paused').getByRole('button', { name: 'Go on' }).click();
	await page.locator('.row', { hasText: 'while paused 49.' }).waitFor();
	assert.equal(await page.locator('.row', { hasText: 'while paused' }).count(), 50);
}

export async function repeats_and_density({ open, told }) {
	const page = await open();
	await push(told, ['again', 'again', 'again', 'took 3 ms', 'took 4 ms', 'again']);
	await explore(page, { q: '{service_name="live-test"} |~ "^(again|took)"' });
	await page.locator('.row').nth(5).waitFor();
	const texts = () => page.locator('.row-line').evaluateAll((all) => all.map((r) => (r.querySelector('.row-times')?.textContent ?? '') + r.querySelector('.row-text').textContent));
	const show = page.getByLabel('Lines that repeat the one before');
	await show.selectOption('Merge equal');
	await page.locator('.row-times').waitFor();
	assert.deepEqual(await texts(), ['again', 'took 4 ms', 'took 3 ms', '×3again']);
	await show.selectOption('Merge similar');
	await page.locator('.row-times').nth(1).waitFor();
	assert.deepEqual(await texts(), ['again', '×2took 4 ms', '×3again']);
	await page.reload();
	await page.locator('.row-times').nth(1).waitFor();
	assert.equal(await rows(page).count(), 3, 'the address holds it');

	const height = () => page.locator('.row-line').first().evaluate((r) => r.getBoundingClientRect().height);
	const compact = await height();
	await page.getByRole('button', { name: 'Compact' }).click();
	assert.ok((await height()) > compact + 5);
	await page.reload();
	await ready(page);
	assert.ok((await height()) > compact + 5, 'the browser remembers it');
	await page.locator('.row').first().focus();
	await page.keyboard.press('d');
	assert.equal(await height(), compact);
}

export async function streams({ open }) {
	const page = await open();
	await page.goto('/ui/streams');
	await page.getByRole('button', { name: 'app', exact: true }).click();
	await page.locator('.values button', { hasText: 'checkout' }).click();
	await page.locator('.value-pane', { hasText: /lines · errors/ }).waitFor();
	await page.locator('.value-pane', { hasText: /first \d{4}-.* · last / }).waitFor();
	await page.locator('.value-pane li', { hasText: /^otelTraceID\s.*%\s+indexed$/ }).waitFor();
	await page.getByRole('heading', { name: 'Indexed fields' }).waitFor();
	await page.getByRole('button', { name: 'Delete …' }).click();
	const dialog = page.getByRole('dialog', { name: 'Delete lines' });
	await dialog.getByText(/This cannot be undone/).waitFor();
	assert.ok(await dialog.getByRole('button', { name: 'Delete', exact: true }).isDisabled());
	await dialog.getByLabel(/Type the number/).fill('1');
	assert.ok(await dialog.getByRole('button', { name: 'Delete', exact: true }).isDisabled());
}

export async function status({ open, told }) {
	const page = await open();
	await page.goto('/ui/status');
	await page.locator('.tile-value').first().waitFor();
	await page.getByText('ready', { exact: true }).first().waitFor();
	await page.getByText('max_line_size').first().waitFor();
	await page.locator('tr', { hasText: 'max_line_size' }).getByText('command line').waitFor();
	await page.locator('summary', { hasText: 'line too long' }).click();
	const sample = page.locator('.refusal-sample').first();
	await sample.getByText('max entry size').waitFor();
	assert.match(await sample.innerText(), /<img src=x onerror=.*y…/s);
	assert.equal(await sample.locator('img').count(), 0);
	await page.screenshot({ path: join(told.shots, 'refusals.png') });
}

export async function hostile_lines_stay_data({ open }) {
	const page = await open();
	await explore(page, { q: '{service_name="hostile"}' });
	assert.ok((await rows(page).count()) >= 8);
	assert.equal(await page.locator('.log-list img, .log-list script, .log-list a').count(), 0);
	for (let i = 0; i < 8; i++) await page.locator('.row-toggle').nth(i).click();
	await page.locator('.details').nth(7).waitFor();
	assert.equal(await page.locator('.log-list img, .log-list script, .log-list u, .log-list i').count(), 0);
	const text = await page.locator('.log-list').innerText();
	assert.ok(text.includes('<img src=x onerror='), 'markup is shown');
	assert.ok(text.includes('U+202E') && text.includes('U+200B'), 'bidi and zero width are shown');
	assert.ok(!/[\u202e\u200b\u001b]/.test(text), 'and nowhere as they are');
	const nodes = await page.evaluate(() => document.querySelectorAll('*').length);
	assert.ok(nodes < 12000, `${nodes} elements`);
}

export async function keys({ open }) {
	const page = await open();
	await explore(page, {});
	await page.locator('.log-list').focus();
	await page.keyboard.press('j');
	await page.keyboard.press('j');
	const id = await page.evaluate(() => document.activeElement?.dataset.id);
	assert.ok(id, 'a line has the focus');
	await page.keyboard.press('k');
	assert.notEqual(await page.evaluate(() => document.activeElement?.dataset.id), id);
	await page.keyboard.press('e');
	const level = () => page.evaluate(() => document.activeElement?.dataset.level);
	assert.match(await level(), /^(error|critical)$/);
	await page.keyboard.press('Enter');
	await page.locator('.row.open .details').waitFor();
	await page.keyboard.press('Enter');
	await page.locator('.row.open').waitFor({ state: 'detached' });
	await page.keyboard.press('t');
	await page.getByRole('dialog', { name: /Trace/ }).locator('.waterfall-row').first().waitFor();
	await page.keyboard.press('Escape');
	await page.locator('.row[data-level=error]').first().focus();
	await page.keyboard.press('c');
	await page.getByRole('dialog').locator('.row.pinned').waitFor();
	await page.keyboard.press('Escape');
	await page.getByRole('dialog').waitFor({ state: 'detached' });
	await page.locator('.row').first().focus();
	await page.keyboard.press('w');
	await page.locator('.row-line.wrapped').first().waitFor();
	await page.keyboard.press('w');
	await page.keyboard.press('[');
	await page.waitForURL(/from=\d+/);
	const was = page.url();
	await page.keyboard.press('-');
	await page.waitForURL((url) => url.href !== was);
	await page.goBack();
	await page.goBack();
	await ready(page);
	await page.keyboard.press('?');
	await page.getByRole('dialog', { name: 'Keys' }).getByText('next error').waitFor();
	await page.keyboard.press('Escape');
	await page.keyboard.press('/');
	await page.locator('.explore-editor :focus').first().waitFor();
	await page.keyboard.press('Escape');
	await page.locator('.row').first().focus();
	await page.keyboard.press('l');
	await page.waitForURL(/\/ui\/live/);
	await page.getByRole('button', { name: 'Pause' }).waitFor();
	await page.keyboard.press('p');
	await page.locator('.live-paused').waitFor();
}

const SCREENS = (told) => ({
	explore: '/ui/?q=%7Bapp%3D%22checkout%22%7D',
	trace: `/ui/trace/${told.trace}`,
	live: '/ui/live',
	streams: '/ui/streams?label=app&value=checkout',
	status: '/ui/status',
});

export async function screens_are_accessible({ open, told, axe }) {
	const found = [];
	for (const theme of ['light', 'dark'])
		for (const width of [1280, 390]) {
			const page = await open({ width, theme, bypassCSP: true });
			for (const [name, path] of Object.entries(SCREENS(told))) {
				await page.goto(path);
				await page.waitForLoadState('load');
				await page.waitForTimeout(name === 'live' ? 1500 : 1200);
				await page.screenshot({ path: join(told.shots, `${name}-${theme}-${width}.png`) });
				const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
				if (wide > 0) found.push(`${name} at ${width} is ${wide} px too wide`);
				await page.addScriptTag({ path: axe });
				const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
				for (const v of result.violations)
					if (v.impact === 'serious' || v.impact === 'critical') found.push(`${name} ${theme} ${width}: ${v.id} ${v.nodes[0].target} ${v.nodes[0].failureSummary}`);
			}
		}
	assert.equal(found.length, 0, found.slice(0, 6).join(' || '));
}

/* With a result of 1,000,000 lines: reads a good part of it and looks at the memory. */
export async function million({ open }) {
	const page = await open();
	await explore(page, { q: '{service_name=~".+"}' });
	const used = () =>
		page.evaluate(() => {
			window.gc?.();
			return performance.memory.usedJSHeapSize;
		});
	const scroll = async (times) => {
		for (let i = 0; i < times; i++) {
			await page.locator('.log-list').evaluate((l) => l.scrollTo(0, l.scrollHeight));
			await page.waitForTimeout(40);
		}
	};
	await scroll(50);
	const before = await used();
	await scroll(1000);
	const after = await used();
	const lines = await page.locator('.explore-summary').innerText();
	console.log(`heap ${before} -> ${after}, ${lines.replace(/\s+/g, ' ')}`);
	assert.ok(after < before + 12e6, `heap grew from ${before} to ${after}`);
}
