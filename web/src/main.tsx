import { render } from 'preact';
import { listenToKeys } from './keys';
import { followLinks } from './router';
import './settings';
import { Shell } from './shell';

followLinks();
listenToKeys();
render(<Shell />, document.getElementById('app')!);
