/* Live: lines as they come. A pause keeps the place on the server; going on shows all that came meanwhile. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { Tail } from '../api/tail';
import type { Entry } from '../api/types';
import { useKeys } from '../keys';
import { formatCount } from '../model/format';
import { LEVELS, entryLevel, type Level } from '../model/levels';
import { needles, type Needle } from '../model/logql';
import { Ring } from '../model/ring';
import { href, location, navigate } from '../router';
import { QueryEditor } from '../widgets/editor';
import { ListOptions } from '../widgets/list_options';
import { LogRow } from '../widgets/log_row';
import { resolve, nowNs } from '../model/time';
import { ALL_STREAMS } from './explore_state';

const SIZES = [1000, 5000, 20000];
const WAITING = 20000; // lines read ahead during a pause; then the connection rests and goes on from its place
const SHOWN = 1000; // rows on the page

type State = 'connecting' | 'connected' | 'waiting' | 'failed';

const STATES: Record<State, string> = { connecting: 'connecting …', connected: 'connected', waiting: 'connection lost, trying again …', failed: 'stopped' };

function useTail(query: string, size: number, paused: boolean) {
	const shown = useRef(new Ring<Entry>(size));
	const waiting = useRef<Entry[]>([]);
	const pause = useRef(paused);
	const tail = useRef<Tail | null>(null);
	const resting = useRef(false);
	const arrived = useRef<number[]>([]);
	const [state, setState] = useState<{ is: State; why?: string }>({ is: 'connecting' });
	const [dropped, setDropped] = useState(0);
	const [, redraw] = useState(0);
	pause.current = paused;
	shown.current.resize(size);

	useEffect(() => {
		let frame = 0;
		const draw = () => {
			frame ||= requestAnimationFrame(() => {
				frame = 0;
				redraw((n) => n + 1);
			});
		};
		shown.current.clear();
		waiting.current = [];
		setDropped(0);
		const t = new Tail(query, {
			onEntries: (e) => {
				const now = Date.now();
				arrived.current = [...arrived.current.filter((a) => a > now - 5000), ...e.slice(0, 5000).map(() => now)];
				if (pause.current) {
					waiting.current.push(...e);
					if (waiting.current.length >= WAITING) {
						resting.current = true;
						t.stop();
					}
				} else shown.current.add(e);
				draw();
			},
			onDropped: (n) => setDropped((d) => d + n),
			onState: (is, why) => setState(why === undefined ? { is } : { is, why }),
		});
		tail.current = t;
		t.start();
		const tick = setInterval(draw, 1000);
		return () => {
			t.stop();
			clearInterval(tick);
			cancelAnimationFrame(frame);
		};
	}, [query]);
	useEffect(() => {
		if (paused) return;
		shown.current.add(waiting.current);
		waiting.current = [];
		if (resting.current) {
			resting.current = false;
			tail.current?.start();
		}
		redraw((n) => n + 1);
	}, [paused]);
	const rate = arrived.current.filter((a) => a > Date.now() - 5000).length / 5;
	return { lines: shown.current.list, waiting: waiting.current.length, resting: resting.current, state, dropped, rate, clear: () => (shown.current.clear(), redraw((n) => n + 1)) };
}

export function LivePage() {
	const query = location.value.params.get('q')?.trim() || ALL_STREAMS;
	const [draft, setDraft] = useState(query);
	const [paused, setPaused] = useState(false);
	const [since, setSince] = useState('');
	const [size, setSize] = useState(5000);
	const [mark, setMark] = useState('');
	const [levels, setLevels] = useState<ReadonlySet<Level>>(new Set());
	const list = useRef<HTMLDivElement>(null);
	const t = useTail(query, size, paused);
	const shown = t.lines.filter((e) => levels.size === 0 || levels.has(entryLevel(e))).slice(-SHOWN);
	const highlight: Needle[] = [...needles(query), ...mark.split('|').filter((m) => m.trim() !== '').map((m) => ({ text: m.trim(), regex: false, ignoreCase: true }))];
	const range = resolve({ from: 'now-1h', to: 'now' }, nowNs())!;

	const pause = (to: boolean) => {
		setPaused(to);
		setSince(new Date().toLocaleTimeString());
	};
	const follow = () => {
		const l = list.current;
		if (l) l.scrollTop = l.scrollHeight;
	};
	useEffect(() => {
		if (!paused) follow();
	});
	useEffect(() => setDraft(query), [query]);
	useKeys(
		[
			{ key: 'p', what: 'pause or go on', run: () => pause(!paused) },
			{ key: 'l', what: 'back to Explore', run: () => navigate(explore()) },
		],
		[paused, query, shown.length],
	);
	const explore = () => {
		const [first, last] = [t.lines[0], t.lines.at(-1)];
		return href('', first && last ? { q: query, from: first.ts, to: (BigInt(last.ts) + 1n).toString() } : { q: query });
	};
	const toggle = (l: Level) => {
		const next = new Set(levels);
		if (!next.delete(l)) next.add(l);
		setLevels(next);
	};
	const run = () => navigate(href('live', { q: draft }));

	return (
		<div class="live">
			<h1 class="visually-hidden">Live</h1>
			<div class="explore-bar">
				<div class="explore-editor">
					<QueryEditor value={draft} onChange={setDraft} onRun={run} range={range} error={null} />
				</div>
				<div class="explore-actions">
					<button class="button primary" onClick={run}>
						Follow
					</button>
					<a class="button" href={explore()}>
						→ Explore
					</a>
				</div>
			</div>
			<div class="live-bar">
				<button class="button" aria-pressed={paused} onClick={() => pause(!paused)}>
					{paused ? 'Go on' : 'Pause'}
				</button>
				<button class="button" onClick={t.clear}>
					Clear
				</button>
				<label>
					Keep{' '}
					<select value={size} onChange={(e) => setSize(Number(e.currentTarget.value))}>
						{SIZES.map((s) => (
							<option key={s} value={s}>
								{formatCount(s)}
							</option>
						))}
					</select>
				</label>
				<input aria-label="Highlight" placeholder="highlight: timeout|refused" value={mark} onInput={(e) => setMark(e.currentTarget.value)} />
				<span role="group" aria-label="Levels" class="live-levels">
					{LEVELS.slice(0, 5).map((l) => (
						<button key={l} class="button quiet" aria-pressed={levels.has(l)} onClick={() => toggle(l)}>
							{l}
						</button>
					))}
				</span>
				<ListOptions />
				<span class="live-state" role="status">
					<span class={`live-dot ${t.state.is}`} aria-hidden="true" /> {STATES[t.state.is]} · {t.rate < 10 ? t.rate.toFixed(1) : Math.round(t.rate)} lines/s · dropped {formatCount(t.dropped)}
				</span>
			</div>
			{t.state.why !== undefined && t.state.is !== 'connected' && (
				<p class="error-text live-why" role="alert">
					{t.state.why}
				</p>
			)}
			<div
				class="log-list live-list"
				ref={list}
				tabIndex={0}
				role="feed"
				aria-label="Live lines"
				onWheel={(e) => e.deltaY < 0 && !paused && pause(true)}
			>
				{shown.map((e) => (
					<LogRow key={e.id} entry={e} columns={[]} highlight={highlight} onTrace={(id) => navigate(href(`trace/${encodeURIComponent(id)}`))} />
				))}
				{shown.length === 0 && <p class="log-end soft">Waiting for lines …</p>}
			</div>
			{paused && (
				<div class="live-paused" role="status">
					paused {since} · {formatCount(t.waiting)} new lines waiting{t.resting ? ' and more on the server' : ''}
					<button class="button primary" onClick={() => pause(false)}>
						Go on
					</button>
				</div>
			)}
		</div>
	);
}
