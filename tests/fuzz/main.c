/* Replays a corpus through a fuzz target where libFuzzer is not linked in: each argument is a file or a folder of
 * files; without arguments, the target's own folder under tests/fuzz/corpus (found through $srcdir and argv[0]). */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t n_run;

static void run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	long size;

	if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0) {
		perror(path);
		exit(1);
	}
	rewind(f);
	uint8_t *data =
		malloc((size_t)size + 1); /* exactly sized for ASan but for one byte malloc(0) needs */
	if (data == NULL || fread(data, 1, (size_t)size, f) != (size_t)size) {
		perror(path);
		exit(1);
	}
	fclose(f);
	data = realloc(data, size > 0 ? (size_t)size : 1);
	LLVMFuzzerTestOneInput(data, (size_t)size);
	free(data);
	n_run++;
}

static void run_path(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		perror(path);
		exit(1);
	}
	if (!S_ISDIR(st.st_mode)) {
		run_file(path);
		return;
	}
	DIR *d = opendir(path);
	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
		char child[4096];

		if (e->d_name[0] == '.')
			continue;
		snprintf(child, sizeof(child), "%s/%s", path, e->d_name);
		run_path(child);
	}
	if (d != NULL)
		closedir(d);
}

int main(int argc, char **argv)
{
	const char *srcdir = getenv("srcdir"), *name = strrchr(argv[0], '/');
	char corpus[4096];

	for (int i = 1; i < argc; i++)
		run_path(argv[i]);
	if (argc == 1) {
		name = name != NULL ? name + 1 : argv[0];
		if (strncmp(name, "fuzz_", 5) == 0)
			name += 5;
		snprintf(corpus, sizeof(corpus), "%s/tests/fuzz/corpus/%s", srcdir != NULL ? srcdir : ".",
			 name);
		run_path(corpus);
	}
	printf("%s: %zu inputs\n", argv[0], n_run);
	return n_run > 0 ? 0 : 1;
}
