/* How lines are laid out, wherever they are listed: wrapped or cut, close together or with air. */
import { useKeys } from '../keys';
import { density, wrap } from '../settings';

export function ListOptions() {
	const toggleWrap = () => (wrap.value = wrap.value === 'on' ? 'off' : 'on');
	const toggleDensity = () => (density.value = density.value === 'compact' ? 'comfortable' : 'compact');

	useKeys([
		{ key: 'w', what: 'wrap long lines', run: toggleWrap },
		{ key: 'd', what: 'lines close together or with air', run: toggleDensity },
	]);
	return (
		<>
			<button class="button quiet" aria-pressed={wrap.value === 'on'} title="Wrap long lines (w)" onClick={toggleWrap}>
				Wrap
			</button>
			<button class="button quiet" aria-pressed={density.value === 'compact'} title="Lines close together (d)" onClick={toggleDensity}>
				Compact
			</button>
		</>
	);
}
