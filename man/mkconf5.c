/* Writes spoor.conf(5): the page given, with the settings in place of the line @SETTINGS@. */
#include "daemon/config.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	struct buf settings = { 0 };
	char line[4096];
	FILE *in;

	if (argc != 2 || (in = fopen(argv[1], "re")) == NULL) {
		fprintf(stderr, "usage: mkconf5 spoor.conf.5.in\n");
		return EXIT_FAILURE;
	}
	config_mdoc(&settings);
	while (fgets(line, sizeof(line), in) != NULL) {
		if (strcmp(line, "@SETTINGS@\n") == 0)
			fwrite(settings.p, 1, settings.n, stdout);
		else
			fputs(line, stdout);
	}
	bool ok = !ferror(in) && fclose(in) == 0 && fflush(stdout) == 0;
	buf_fini(&settings);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
