/* Server-sent events from a stream of text (WHATWG HTML, 9.2.6), as much of it as the tail uses. */
export interface ServerEvent {
	id: string | null;
	type: string;
	data: string;
}

export class EventParser {
	private rest = '';
	private id: string | null = null;
	private type = '';
	private data: string[] = [];
	private started = false;

	/** The events that are complete now. An event without data only moves the id. */
	feed(text: string): ServerEvent[] {
		const out: ServerEvent[] = [];
		this.rest += text;
		for (;;) {
			const at = this.rest.indexOf('\n');
			if (at === -1) return out;
			const line = this.rest.slice(0, at).replace(/\r$/, '');
			this.rest = this.rest.slice(at + 1);
			if (line === '') {
				if (this.started) out.push({ id: this.id, type: this.type || 'message', data: this.data.join('\n') });
				this.type = '';
				this.data = [];
				this.started = false;
			} else this.field(line);
		}
	}

	private field(line: string): void {
		if (line.startsWith(':')) return;
		const colon = line.indexOf(':');
		const name = colon === -1 ? line : line.slice(0, colon);
		const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
		if (name === 'id') this.id = value;
		else if (name === 'event') this.type = value;
		else if (name === 'data') this.data.push(value);
		else return;
		this.started = true;
	}
}
