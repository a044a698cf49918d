/* The newest n of what was added, oldest first. */
export class Ring<T> {
	private items: T[] = [];

	constructor(private max: number) {}

	/** How many had to go. */
	add(more: T[]): number {
		this.items.push(...more.slice(-this.max));
		const over = Math.max(0, this.items.length - this.max) + Math.max(0, more.length - this.max);
		if (this.items.length > this.max) this.items = this.items.slice(-this.max);
		return over;
	}

	resize(max: number): void {
		this.max = max;
		this.items = this.items.slice(-max);
	}

	clear(): void {
		this.items = [];
	}

	get list(): readonly T[] {
		return this.items;
	}

	get length(): number {
		return this.items.length;
	}
}
